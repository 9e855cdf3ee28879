# SPDX-License-Identifier: AGPL-3.0-or-later
"""gdb_fibers: what gdb does not see by itself: the fibers.

    gdb -p PID -x tools/gdb_fibers.py -batch -ex fibers

    fibers                   a line for each fiber, those that do the same together
    fibers -v                each with its back-trace
    fiber ADDRESS            one, with its back-trace
    fiber ADDRESS COMMAND... one: the command in its place, such as `bt full` or `frame function attempt`

No list holds all fibers: those of a listener or of the queue belong to groups without an owner.  But each
stands at the top of its own 64 KiB stack, which ends on a page, and knows its stack and its loop.  So all
pages of anonymous memory are looked at for such a struct.  A parked fiber's registers lie where
jump_fcontext has put them; from there the frame pointers lead on, which our build keeps.  For x86-64, the
switch `fcontext`, and a live process (gcore leaves out memory with guard pages in it); under
-Dfibers=pthread `thread apply all bt` shows everything.
"""
import functools
import os
import re
import struct

import gdb

STACK_SIZE = 65536
PAGE = 4096
FRAMES_MAX = 64
SAVED = ("r12", "r13", "r14", "r15", "rbx", "rbp")


class Memory:
    """Words of the program; past gdb where that can be, since there may be a million pages."""

    def __init__(self):
        self.file = None
        try:
            self.file = os.open(f"/proc/{gdb.selected_inferior().pid}/mem", os.O_RDONLY)
            pointer_at(self.file, loops()[0])
        except OSError:
            self.file = None

    def __call__(self, address):
        """The word at ADDRESS, or 0 where nothing can be read, such as a guard page."""
        try:
            return pointer(address) if self.file is None else pointer_at(self.file, address)
        except (OSError, gdb.MemoryError, struct.error):
            return 0

    def close(self):
        if self.file is not None:
            os.close(self.file)


def pointer_at(file, address):
    return struct.unpack("<Q", os.pread(file, 8, address))[0]


def pointer(address):
    return struct.unpack("<Q", gdb.selected_inferior().read_memory(address, 8).tobytes())[0]


def loops():
    """Addresses of all struct loop."""
    for symbol in gdb.lookup_static_symbols("loops"):
        if "struct loop *" in str(symbol.type):
            first = symbol.value()
            count = int(gdb.lookup_static_symbol("loop_count").value())
            return [int((first + i).cast(gdb.lookup_type("long"))) for i in range(count)]
    raise gdb.GdbError("no loops: the program runs no runtime, or has no symbols")


def anonymous_memory():
    """(start, end) of what may hold stacks."""
    for line in gdb.execute("info proc mappings", to_string=True).splitlines():
        words = line.split()
        if len(words) < 4 or not words[0].startswith("0x"):
            continue
        start, end = int(words[0], 16), int(words[1], 16)
        rest = [word for word in words[4:] if not re.fullmatch(r"[r-][w-][x-][ps-]", word)]
        named = rest and not rest[0].startswith("[")
        if not named and not (rest and rest[0] in ("[vdso]", "[vvar]", "[vsyscall]", "[heap]")):
            yield start, end


def fibers():
    """All struct fiber that are alive, as gdb.Value, by address."""
    kind = gdb.lookup_type("struct fiber")
    offsets = {field.name: field.bitpos // 8 for field in kind.fields()}
    size = (kind.sizeof + 63) & ~63
    known = set(loops())
    memory = Memory()
    found = []
    for start, end in anonymous_memory():
        for top in range(start + PAGE, end + 1, PAGE):
            at = top - size
            if memory(at + offsets["loop"]) in known and memory(at + offsets["stack"]) == top - STACK_SIZE:
                found.append(gdb.Value(at).cast(kind.pointer()).dereference())
    memory.close()
    return found


def saved_registers(fiber):
    """Of a fiber that does not run: the registers that jump_fcontext has pushed."""
    first = gdb.execute("x/1i jump_fcontext", to_string=True)
    match = re.search(r"-?0x([0-9a-f]+)\(%rsp\)", first)
    below = int(match[1], 16) if match else 0x38
    frame = int(fiber["context"]["frame"])
    registers = {name: pointer(frame + below - 8 * (len(SAVED) - i)) for i, name in enumerate(SAVED)}
    registers["rip"] = pointer(frame + below)
    registers["rsp"] = frame + below + 8
    return registers


@functools.lru_cache(None)
def describe(address):
    """Function and line to which a call at ADDRESS returns."""
    block = gdb.block_for_pc(address - 1)
    while block and not block.function:
        block = block.superblock
    sal = gdb.find_pc_line(address - 1)
    name = block.function.name if block else None
    if not name:
        return re.sub(r"^.*<(.*)>.*$", r"\1", gdb.execute(f"info symbol {address:#x}", to_string=True).strip())
    return f"{name} ({re.sub('^.*src/', '', sal.symtab.filename)}:{sal.line})" if sal.symtab else name


def trace(fiber):
    """The back-trace as a list of texts."""
    registers = saved_registers(fiber)
    low, high = int(fiber["stack"]), int(fiber["stack"]) + STACK_SIZE
    lines, at, base = [], registers["rip"], registers["rbp"]
    for _ in range(FRAMES_MAX):
        lines.append(describe(at))
        if not low <= base < high - 16 or lines[-1].startswith("entry "):
            break
        at, base = pointer(base + 8), pointer(base)
        if not at:
            break
    if lines[0].startswith("make_fcontext"):
        return ["(it has not begun)"]
    return [line for line in lines if not re.match(r"(jump|context_switch) ", line)]


def state(fiber):
    if int(fiber["loop"]["running"]) == int(fiber.address):
        return "running"
    return "parked" if fiber["parked"] else "ready"


def summary(fiber):
    loop = int(fiber["loop"]["index"])
    marks = " cancelled" if fiber["group"]["cancelled"] else ""
    return f"loop {loop}  {state(fiber):9}{fiber['name'].string()}{marks}"


class Fibers(gdb.Command):
    """Lists the fibers; -v with back-traces."""

    def __init__(self):
        super().__init__("fibers", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        found = fibers()
        alike = {}
        for fiber in found:
            running = state(fiber) == "running"
            frames = ["(it runs: see its thread)"] if running else trace(fiber)
            key = (summary(fiber), tuple(frames))
            alike.setdefault(key, []).append(int(fiber.address))
        for (text, frames), addresses in sorted(alike.items(), key=lambda item: -len(item[1])):
            where = [line for line in frames if not line.startswith("fiber_")]
            print(f"{len(addresses):6} x {addresses[0]:#x}  {text:36} {where[0] if where else frames[0]}")
            if "-v" in argument:
                for line in frames:
                    print(f"           {line}")
        print(f"{len(found)} fibers on {len(loops())} loops")


class Fiber(gdb.Command):
    """Shows one fiber: fiber ADDRESS [COMMAND...]."""

    def __init__(self):
        super().__init__("fiber", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if not words:
            raise gdb.GdbError("fiber ADDRESS [COMMAND...]")
        at = gdb.parse_and_eval(words[0])
        fiber = at.cast(gdb.lookup_type("struct fiber").pointer()).dereference()
        print(summary(fiber))
        if state(fiber) == "running":
            print("it runs: see its thread")
        elif words[1:]:
            self.in_its_place(saved_registers(fiber), " ".join(words[1:]))
        else:
            for number, line in enumerate(trace(fiber)):
                print(f"#{number:<3} {line}")

    def in_its_place(self, registers, command):
        """COMMAND with the fiber's registers; the thread gets its own back."""
        gdb.execute("frame 0", to_string=True)
        before = {name: int(gdb.parse_and_eval(f"(unsigned long)${name}")) for name in registers}
        try:
            for name, value in registers.items():
                gdb.execute(f"set var ${name} = {value:#x}")
            gdb.execute(command)
        finally:
            gdb.execute("frame 0", to_string=True)
            for name, value in before.items():
                gdb.execute(f"set var ${name} = {value:#x}")


Fibers()
Fiber()
