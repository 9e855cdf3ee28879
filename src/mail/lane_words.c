/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* lane_words.c: what the subjects of one-time codes and password resets say, in many languages.
 *
 * In lower case; sorted by their bytes, so that those of one first byte stand together (lane_test.c
 * checks it).  A phrase of the first list is enough by itself; a word of the second counts beside a
 * group of digits; one of the third says that a code is of another kind.
 */
#include "mail/lane_words.h"

/* clang-format off */
const char *const lane_phrases[] = {
    "2fa code", "access code", "account activation", "account recovery", "activa tu cuenta",
    "activate your account", "activation code", "activeer je account", "activeringscode",
    "activez votre compte", "aktivasyon kodu", "aktivierungscode", "aktywacja konta",
    "aktywuj konto", "anmeldecode", "anmeldelink", "ative sua conta", "attiva il tuo account",
    "atur ulang kata sandi", "authentication code", "authorization code", "bekreftelseskode",
    "bekräftelsekod", "bekræftelseskode", "bestätige deine e-mail",
    "bestätigen sie ihre e-mail", "bestätigungscode", "beveiligingscode",
    "bevestig je e-mailadres", "bevestig uw e-mailadres", "bevestigingscode",
    "bezpečnostní kód", "biztonsági kód", "cod de securitate", "cod de verificare",
    "code d'accès", "code d'activation", "code d'authentification", "code de confirmation",
    "code de connexion", "code de sécurité", "code de verification", "code de vérification",
    "code à usage unique", "codice di accesso", "codice di attivazione", "codice di conferma",
    "codice di sicurezza", "codice di verifica", "codice monouso", "codigo de verificacion",
    "codul de verificare", "conferma il tuo indirizzo", "confirm your account",
    "confirm your e-mail", "confirm your email", "confirma tu correo", "confirma tu cuenta",
    "confirmation code", "confirme o seu e-mail", "confirme seu e-mail",
    "confirmez votre adresse", "código de acceso", "código de acesso", "código de activación",
    "código de ativação", "código de confirmación", "código de confirmação",
    "código de inicio de sesión", "código de segurança", "código de seguridad",
    "código de un solo uso", "código de uso único", "código de verificación",
    "código de verificação", "dein passwort zurück", "doğrulama kodu", "doğrulama kodunuz",
    "e-mail verification", "e-mail-adresse bestätigen", "e-posta adresinizi doğrulayin",
    "eenmalige code", "einmal-code", "einmal-passwort", "einmalcode", "einmalkennwort",
    "einmalpasswort", "elfelejtett jelszó", "ellenőrző kód", "email confirmation",
    "email verification", "engangskode", "engångskod", "engångslösenord", "forgot password",
    "forgot your password", "forgotten password", "freischaltcode", "giriş kodu",
    "giriş kodunuz", "glemt passord", "glömt lösenord", "güvenlik kodu", "güvenlik kodunuz",
    "hasło jednorazowe", "hesabinizi doğrulayin", "hesabinizi etkinleştirin",
    "ihr kennwort zurück", "ihr passwort zurück", "inlogcode", "inloggningskod",
    "jednorazowy kod", "jednorázové heslo", "jednorázový kód", "jelszó visszaállítása",
    "jelszó-visszaállítás", "kennwort vergessen", "kennwort zurücksetzen", "kertakäyttökoodi",
    "kirjautumiskoodi", "kod autoryzacyjny", "kod bezpieczeństwa", "kod dostępu",
    "kod jednorazowy", "kod logowania", "kod potwierdzający", "kod weryfikacyjny",
    "kode keamanan", "kode konfirmasi", "kode verifikasi", "konto aktivieren",
    "lien de connexion", "log in code", "log-in code", "login code", "login link", "login-code",
    "magic link", "megerősítő kód", "mfa code", "mot de passe oublié",
    "mot de passe à usage unique", "mã xác minh", "mã xác nhận", "mã xác thực",
    "nulstil adgangskode", "nulstil din adgangskode", "nulstilling af adgangskode",
    "obnova hesla", "obnovenie hesla", "obnovení hesla", "odzyskiwanie hasła",
    "olvidaste tu contraseña", "onay kodu", "onay kodunuz", "one time code",
    "one time passcode", "one time password", "one-time code", "one-time passcode",
    "one-time password", "one-time pin", "otp", "overovací kód", "ověřovací kód",
    "palauta salasana", "parola sifirlama", "parolanizi sifirlayin", "passcode",
    "password dimenticata", "password recovery", "password reset", "passwort vergessen",
    "passwort zurückgesetzt", "passwort zurücksetzen", "passwort-zurücksetzung",
    "potvrzovací kód", "potwierdź adres", "przypomnienie hasła", "přihlašovací kód",
    "recover your password", "recuperación de contraseña", "recuperar contraseña",
    "recuperar senha", "recuperação da palavra-passe", "recuperação de senha",
    "recupero della password", "recupero password", "redefina sua senha", "redefinir a senha",
    "redefinir senha", "redefinir sua senha", "redefinição de senha", "reimposta la password",
    "reimposta la tua password", "reimpostare la password", "reimpostazione della password",
    "reimpostazione password", "repor a palavra-passe", "reset hasła", "reset password",
    "reset the password", "reset your password", "resetare parolă", "resetarea parolei",
    "resetowanie hasła", "resetting your password", "restablece tu contraseña",
    "restablecer contraseña", "restablecer la contraseña", "restablecer su contraseña",
    "restablecer tu contraseña", "restablecimiento de contraseña",
    "restablecimiento de la contraseña", "restablezca su contraseña", "ripristino password",
    "réinitialisation de mot de passe", "réinitialisation de votre mot de passe",
    "réinitialisation du mot de passe", "réinitialiser le mot de passe",
    "réinitialiser votre mot de passe", "réinitialisez votre mot de passe", "salasanan nollaus",
    "salasanan palautus", "security code", "set a new password", "set your password",
    "setel ulang kata sandi", "sicherheitscode", "sign in code", "sign-in code", "sign-in link",
    "signin code", "sikkerhedskode", "sikkerhetskode", "single-use code", "säkerhetskod",
    "tek kullanimlik", "temporary code", "temporary password", "tilbakestill passord",
    "tilbakestill passordet", "toegangscode", "turvakoodi", "two-factor code",
    "two-step verification", "vahvistuskoodi", "verifica tu correo", "verifica tu cuenta",
    "verificatiecode", "verification code", "verifieringskod", "verifique seu e-mail",
    "verifizierungscode", "verify code", "verify your account", "verify your e-mail",
    "verify your email", "verify your identity", "vérifiez votre adresse",
    "wachtwoord herstellen", "wachtwoord opnieuw instellen", "wachtwoord resetten",
    "wachtwoord vergeten", "zapomenuté heslo", "zresetuj hasło", "zugangscode",
    "zurücksetzen deines passworts", "zurücksetzen des passworts",
    "zurücksetzen ihres passworts", "återställ ditt lösenord", "återställ lösenord",
    "återställning av lösenord", "đặt lại mật khẩu", "şifre sifirlama", "şifre yenileme",
    "şifremi unuttum", "şifrenizi sifirlayin", "επαναφορά κωδικού", "κωδικός επαλήθευσης",
    "κωδικός επιβεβαίωσης", "κωδικός μιας χρήσης", "восстановление доступа",
    "восстановление пароля", "відновлення паролю", "відновлення пароля", "код авторизации",
    "код активации", "код безопасности", "код безпеки", "код входа", "код для входа",
    "код доступа", "код доступу", "код подтверждения", "код проверки", "код підтвердження",
    "одноразовий код", "одноразовый код", "одноразовый пароль", "подтвердите адрес",
    "подтвердите почту", "подтвердите регистрацию", "подтверждение адреса",
    "подтверждение регистрации", "проверочный код", "підтвердіть адресу", "сброс пароля",
    "скидання пароля", "смена пароля", "איפוס סיסמה", "קוד אימות", "קוד חד פעמי",
    "إعادة تعيين كلمة المرور", "استعادة كلمة المرور", "رمز التأكيد", "رمز التحقق", "رمز الدخول",
    "सत्यापन कोड", "รหัสยืนยัน", "รีเซ็ตรหัสผ่าน", "セキュリティコード", "パスコード", "パスワードのリセット",
    "パスワードの再設定", "パスワードリセット", "パスワード再発行", "パスワード再設定", "メールアドレスの確認", "メールアドレス認証", "ログインコード",
    "ワンタイムコード", "ワンタイムパスワード", "一次性代码", "一次性密码", "动态密码", "动态码", "安全代码", "安全代碼", "安全码", "密码重置",
    "密碼重設", "忘記密碼", "忘记密码", "找回密码", "校验码", "検証コード", "激活帐号", "激活账号", "登录码", "确认码", "確認コード",
    "確認番号", "確認碼", "認証コード", "認証番号", "邮箱验证", "重置密码", "重設密碼", "重设密码", "電子郵件驗證", "驗證碼", "验证码",
    "로그인 코드", "보안 코드", "비밀번호 재설정", "비밀번호 찾기", "비밀번호 초기화", "이메일 인증", "인증 번호", "인증 코드", "인증번호",
    "인증코드", "일회용 비밀번호", "확인 코드",
};
/* clang-format on */
const size_t lane_phrase_count = COUNT_OF(lane_phrases);

/* clang-format off */
const char *const lane_code_words[] = {
    "cod", "code", "codice", "codigo", "codul", "contraseña", "código", "hasło", "kennwort",
    "kod", "kode", "kodu", "kodun", "kodunuz", "koodi", "koodisi", "kód", "mot de passe", "mã",
    "parola", "password", "passwort", "pin", "pin-code", "senha", "tan", "κωδικός", "код",
    "пароль", "קוד", "رمز", "รหัส", "コード", "密码", "码", "碼", "코드",
};
/* clang-format on */
const size_t lane_code_word_count = COUNT_OF(lane_code_words);

/* clang-format off */
const char *const lane_other_codes[] = {
    "area code", "bar code", "barcode", "black friday", "build", "code of conduct",
    "code review", "coupon", "customer code", "desconto", "descuento", "discount", "dress code",
    "error", "exit code", "gift", "gutschein", "gutscheincode", "indirim", "invoice", "korting",
    "kupon", "offer", "order", "post code", "postal code", "postcode", "product code", "promo",
    "promo code", "promotion", "qr code", "qr-code", "rabat", "rabatt", "rabattcode", "remise",
    "réduction", "sale", "sconto", "source code", "status code", "tracking", "voucher",
    "zip code", "zniżka", "промокод", "скидка", "クーポン", "优惠", "優惠", "쿠폰", "할인",
};
/* clang-format on */
const size_t lane_other_code_count = COUNT_OF(lane_other_codes);
