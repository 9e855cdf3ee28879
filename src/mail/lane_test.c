/* SPDX-License-Identifier: AGPL-3.0-or-later */
/* lane_test.c: the lane of realistic header sections, in many languages. */
#include "mail/lane.h"

#include "formats/header.h"
#include "mail/lane_words.h"

#include "check.h"

#include <string.h>

struct lane_case {
    enum lane lane;
    size_t recipients;
    const char *header;
};

/* clang-format off */
static const struct lane_case cases[] = {
    { LANE_CODE, 1,
      "From: Instagram <security@mail.example>\r\nSubject: 123456 is your Instagram code\r\n" },
    { LANE_CODE, 1,
      "From: noreply@accounts.example\r\nSubject: G-482913 is your Google verification code\r\n" },
    { LANE_CODE, 1,
      "From: account-update@shop.example\r\nSubject: Your Amazon.com verification code\r\n" },
    { LANE_CODE, 1,
      "From: no-reply@bank.example\r\nSubject: Your one-time passcode\r\nAuto-Submitted: auto-generated\r\n" },
    { LANE_CODE, 1,
      "From: support@app.example\r\nSubject: Reset your password\r\nFeedback-ID: 1:tx:app\r\n" },
    { LANE_CODE, 1,
      "From: noreply@github.example\r\nSubject: [GitHub] Please verify your device: 882341 is your code\r\n" },
    { LANE_CODE, 1,
      "From: no-reply@slack.example\r\nSubject: Sign in to Slack: your magic link\r\n" },
    { LANE_CODE, 1,
      "From: noreply@tm.example\r\nSubject: Your temporary ChatGPT login code is 443 210\r\n" },
    { LANE_CODE, 1,
      "From: account-security-noreply@accountprotection.example\r\nSubject: Your single-use code\r\n" },
    { LANE_CODE, 1, "From: hello@saas.example\r\nSubject: Confirm your email address\r\n" },
    { LANE_CODE, 1,
      "From: notify@x.example\r\nSubject: 482-913 is your confirmation code\r\n" },
    { LANE_CODE, 2, "From: alerts@bank.example\r\nSubject: OTP for your transaction\r\n" },
    { LANE_CODE, 1, "From: pin@telco.example\r\nSubject: Your PIN: 99871234\r\n" },
    { LANE_CODE, 1,
      "From: id@gov.example\r\nSubject: Verify your\r\n identity to continue\r\n" },
    { LANE_BULK, 1,
      "From: deals@shop.example\r\nSubject: Your verification code for 20% off\r\nList-Unsubscribe: <https://news.example/u/1>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" },
    { LANE_BULK, 1,
      "From: deals@shop.example\r\nSubject: Unlock savings with code 482913\r\nPrecedence: bulk\r\n" },
    { LANE_BULK, 40, "From: deals@shop.example\r\nSubject: Your login code\r\n" },
    { LANE_BULK, 1,
      "From: ann@example.org\r\nSubject: [dev] password reset flow is broken\r\nList-Id: <dev.lists.example>\r\nIn-Reply-To: <1@x>\r\n" },
    { LANE_BULK, 1,
      "From: digest@forum.example\r\nSubject: Weekly digest\r\nList-Id: Forum <forum.example>\r\n" },
    { LANE_BULK, 1,
      "From: hello@shop.example\r\nSubject: Our spring catalogue\r\nList-Unsubscribe: <https://news.example/u/1>\r\n" },
    { LANE_PERSONAL, 1,
      "From: ann@example.org\r\nSubject: Re: your verification code does not arrive\r\nIn-Reply-To: <1@x>\r\n" },
    { LANE_PERSONAL, 1, "From: ann@example.org\r\nSubject: RE: password reset\r\n" },
    { LANE_PERSONAL, 1, "From: ann@example.org\r\nSubject: Fwd: security code\r\n" },
    { LANE_PERSONAL, 1,
      "From: bob@example.org\r\nSubject: wifi password reset, please help\r\nUser-Agent: Mozilla Thunderbird\r\n" },
    { LANE_PERSONAL, 1,
      "From: bob@example.org\r\nSubject: Lunch tomorrow?\r\nX-Mailer: Apple Mail (2.3774.300.61.1.2)\r\n" },
    { LANE_PERSONAL, 2, "From: bob@example.org\r\nSubject: Holiday photos\r\n" },
    { LANE_PERSONAL, 3,
      "From: bob@example.org\r\nSubject: Minutes of Monday\r\nX-Mailer: Microsoft Outlook 16.0\r\n" },
    { LANE_PERSONAL, 5, "From: bob@example.org\r\nSubject: Code of conduct 2026\r\n" },
    { LANE_PERSONAL, 1, "From: bob@example.org\r\nSubject: Code review of the decoder\r\n" },
    { LANE_PERSONAL, 1,
      "From: bob@example.org\r\nSubject: The barcode 12345678 does not scan\r\n" },
    { LANE_PERSONAL, 1,
      "From: bob@example.org\r\nSubject: About your order 123456\r\nReferences: <a@b>\r\n" },
    { LANE_NOTICE, 1,
      "From: no-reply@shop.example\r\nSubject: Your order 123456 has shipped\r\n" },
    { LANE_NOTICE, 1,
      "From: noreply@shop.example\r\nSubject: Discount code 482913 inside\r\n" },
    { LANE_NOTICE, 1, "From: noreply@ci.example\r\nSubject: Build error code 10022\r\n" },
    { LANE_NOTICE, 1,
      "From: billing@shop.example\r\nSubject: Invoice 2026-1001\r\nAuto-Submitted: auto-generated\r\n" },
    { LANE_NOTICE, 1,
      "From: ann@example.org\r\nSubject: Out of office: Lunch\r\nAuto-Submitted: auto-replied\r\n" },
    { LANE_NOTICE, 1,
      "From: monitor@host.example\r\nSubject: Disk almost full\r\nX-Auto-Response-Suppress: All\r\n" },
    { LANE_NOTICE, 1,
      "From: receipts@pay.example\r\nSubject: Receipt for your payment\r\nFeedback-ID: a:b:c:d\r\n" },
    { LANE_NOTICE, 1,
      "From: do-not-reply@monitor.example\r\nSubject: Status code 500 on host 1234\r\n" },
    { LANE_CODE, 1,
      "From: sicherheit@bank.example\r\nSubject: Ihr Bestätigungscode lautet 334455\r\n" },
    { LANE_CODE, 1,
      "From: service@laden.example\r\nSubject: =?utf-8?Q?Passwort_zur=C3=BCcksetzen?=\r\n" },
    { LANE_CODE, 1,
      "From: service@laden.example\r\nSubject: =?iso-8859-1?q?Setzen_Sie_Ihr_Passwort_zur=FCck?=\r\n" },
    { LANE_CODE, 1,
      "From: noreply@amt.example\r\nSubject: =?UTF-8?B?RWlubWFscGFzc3dvcnQgZsO8ciBJaHJlIEFubWVsZHVuZw==?=\r\n" },
    { LANE_CODE, 1, "From: app@dienst.example\r\nSubject: Dein Code: 482913\r\n" },
    { LANE_PERSONAL, 1, "From: max@example.org\r\nSubject: AW: Passwort vergessen\r\n" },
    { LANE_PERSONAL, 2,
      "From: max@example.org\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe_aus_M=C3=BCnchen?=\r\n" },
    { LANE_NOTICE, 1,
      "From: noreply@laden.example\r\nSubject: Gutscheincode 12345 nur heute\r\n" },
    { LANE_BULK, 1,
      "From: news@laden.example\r\nSubject: Unser Newsletter im Mai\r\nList-Unsubscribe: <https://news.example/u/1>\r\n" },
    { LANE_CODE, 1,
      "From: compte@site.example\r\nSubject: =?utf-8?Q?Votre_code_de_v=C3=A9rification?=\r\n" },
    { LANE_CODE, 1,
      "From: compte@site.example\r\nSubject: =?UTF-8?B?UsOpaW5pdGlhbGlzYXRpb24gZGUgdm90cmUgbW90IGRlIHBhc3Nl?=\r\n" },
    { LANE_CODE, 1, "From: compte@site.example\r\nSubject: Votre code d’accès : 991 204\r\n" },
    { LANE_CODE, 1, "From: compte@site.example\r\nSubject: MOT DE PASSE OUBLIÉ\r\n" },
    { LANE_NOTICE, 1,
      "From: ne-pas-repondre@site.example\r\nSubject: =?utf-8?Q?Votre_commande_est_exp=C3=A9di=C3=A9e?=\r\nAuto-Submitted: auto-generated\r\n" },
    { LANE_PERSONAL, 1,
      "From: luc@example.org\r\nSubject: =?utf-8?Q?D=C3=AEner_samedi_=3F?=\r\n" },
    { LANE_BULK, 1,
      "From: promo@site.example\r\nSubject: -20 % avec le code 88112\r\nList-Unsubscribe: <https://news.example/u/1>\r\n" },
    { LANE_CODE, 1,
      "From: hola@app.example\r\nSubject: =?utf-8?Q?Tu_c=C3=B3digo_de_verificaci=C3=B3n_es_552301?=\r\n" },
    { LANE_CODE, 1,
      "From: hola@app.example\r\nSubject: =?UTF-8?B?UmVzdGFibGVjZXIgY29udHJhc2XDsWE=?=\r\n" },
    { LANE_CODE, 1, "From: hola@app.example\r\nSubject: Código: 448812\r\n" },
    { LANE_PERSONAL, 1,
      "From: eva@example.org\r\nSubject: =?utf-8?Q?=C2=BFCenamos_ma=C3=B1ana=3F?=\r\n" },
    { LANE_BULK, 1,
      "From: ofertas@app.example\r\nSubject: =?utf-8?Q?C=C3=B3digo_de_descuento_55112?=\r\nPrecedence: bulk\r\n" },
    { LANE_CODE, 1,
      "From: conta@loja.example\r\nSubject: =?UTF-8?B?U2V1IGPDs2RpZ28gZGUgdmVyaWZpY2HDp8Ojbw==?=\r\n" },
    { LANE_CODE, 1,
      "From: conta@loja.example\r\nSubject: =?utf-8?Q?Redefini=C3=A7=C3=A3o_de_senha?=\r\n" },
    { LANE_PERSONAL, 1,
      "From: joao@example.org\r\nSubject: =?utf-8?Q?Reuni=C3=A3o_amanh=C3=A3?=\r\n" },
    { LANE_CODE, 1,
      "From: account@sito.example\r\nSubject: Il tuo codice di verifica: 778812\r\n" },
    { LANE_CODE, 1, "From: account@sito.example\r\nSubject: Reimposta la password\r\n" },
    { LANE_NOTICE, 1, "From: noreply@sito.example\r\nSubject: Codice sconto 12345\r\n" },
    { LANE_CODE, 1, "From: account@winkel.example\r\nSubject: Je verificatiecode\r\n" },
    { LANE_CODE, 1, "From: account@winkel.example\r\nSubject: Wachtwoord vergeten?\r\n" },
    { LANE_BULK, 1,
      "From: nieuws@winkel.example\r\nSubject: Nieuwsbrief juni\r\nList-Id: <nieuws.winkel.example>\r\n" },
    { LANE_CODE, 1,
      "From: konto@sklep.example\r\nSubject: =?UTF-8?B?VHfDs2oga29kIHdlcnlmaWthY3lqbnk=?=\r\n" },
    { LANE_CODE, 1,
      "From: konto@sklep.example\r\nSubject: =?utf-8?Q?RESETOWANIE_HAS=C5=81A?=\r\n" },
    { LANE_PERSONAL, 1,
      "From: ola@example.org\r\nSubject: =?utf-8?Q?Zdj=C4=99cia_z_wakacji?=\r\n" },
    { LANE_CODE, 1,
      "From: id@site.example\r\nSubject: =?UTF-8?B?0JrQvtC0INC/0L7QtNGC0LLQtdGA0LbQtNC10L3QuNGPOiA0ODI5MTM=?=\r\n" },
    { LANE_CODE, 1,
      "From: id@site.example\r\nSubject: =?UTF-8?B?0JLQntCh0KHQotCQ0J3QntCS0JvQldCd0JjQlSDQn9CQ0KDQntCb0K8=?=\r\n" },
    { LANE_CODE, 1,
      "From: id@site.example\r\nSubject: =?UTF-8?B?0JLQsNGIINC60L7QtCA0ODI5?=\r\n" },
    { LANE_PERSONAL, 1,
      "From: ivan@example.org\r\nSubject: =?UTF-8?B?0J/RgNC40LLQtdGCISDQktGB0YLRgNC10YLQuNC80YHRjyDQt9Cw0LLRgtGA0LA/?=\r\n" },
    { LANE_BULK, 1,
      "From: shop@site.example\r\nSubject: =?UTF-8?B?0J/RgNC+0LzQvtC60L7QtCA0ODI5MTMg0Lgg0YHQutC40LTQutCw?=\r\nList-Unsubscribe: <https://news.example/u/1>\r\n" },
    { LANE_CODE, 1,
      "From: id@site.example\r\nSubject: =?UTF-8?B?0JLRltC00L3QvtCy0LvQtdC90L3RjyDQv9Cw0YDQvtC70Y8=?=\r\n" },
    { LANE_CODE, 1,
      "From: hesap@site.example\r\nSubject: =?UTF-8?B?RG/En3J1bGFtYSBrb2R1bnV6IDMzMTEyMg==?=\r\n" },
    { LANE_CODE, 1,
      "From: hesap@site.example\r\nSubject: =?UTF-8?B?xZ7EsEZSRSBTSUZJUkxBTUE=?=\r\n" },
    { LANE_CODE, 1,
      "From: service@pay.example\r\nSubject: =?UTF-8?B?44CQ5pSv5LuY44CR5oKo55qE6aqM6K+B56CB5pivIDQ4MjkxMw==?=\r\n" },
    { LANE_CODE, 1, "From: service@pay.example\r\nSubject: =?UTF-8?B?6YeN572u5a+G56CB?=\r\n" },
    { LANE_PERSONAL, 1,
      "From: li@example.org\r\nSubject: =?UTF-8?B?5piO5aSp55qE5Lya6K6u?=\r\n" },
    { LANE_CODE, 1,
      "From: info@site.example\r\nSubject: =?UTF-8?B?44CQ6YeN6KaB44CR6KqN6Ki844Kz44O844OJ44Gu44GK55+l44KJ44Gb?=\r\n" },
    { LANE_CODE, 1,
      "From: info@site.example\r\nSubject: =?UTF-8?B?44OR44K544Ov44O844OJ44Gu5YaN6Kit5a6a44Gr44Gk44GE44Gm?=\r\n" },
    { LANE_NOTICE, 1,
      "From: no-reply@site.example\r\nSubject: =?UTF-8?B?44GU5rOo5paH44GC44KK44GM44Go44GG44GU44GW44GE44G+44GZ?=\r\n" },
    { LANE_CODE, 1,
      "From: help@site.example\r\nSubject: =?UTF-8?B?W+yCrOydtO2KuF0g7J247Kad67KI7Zi4IDQ4MjkxMw==?=\r\n" },
    { LANE_CODE, 1,
      "From: help@site.example\r\nSubject: =?UTF-8?B?67mE67CA67KI7Zi4IOyerOyEpOyglSDslYjrgrQ=?=\r\n" },
    { LANE_CODE, 1,
      "From: ucet@obchod.example\r\nSubject: =?UTF-8?B?VsOhxaEgb3bEm8WZb3ZhY8OtIGvDs2Q=?=\r\n" },
    { LANE_CODE, 1,
      "From: konto@butik.example\r\nSubject: =?utf-8?Q?=C3=85terst=C3=A4ll_ditt_l=C3=B6senord?=\r\n" },
    { LANE_CODE, 1,
      "From: konto@butik.example\r\nSubject: =?utf-8?Q?Nulstil_din_adgangskode?=\r\n" },
    { LANE_CODE, 1, "From: konto@butik.example\r\nSubject: Tilbakestill passord\r\n" },
    { LANE_CODE, 1, "From: tili@kauppa.example\r\nSubject: Vahvistuskoodi 482913\r\n" },
    { LANE_CODE, 1,
      "From: fiok@bolt.example\r\nSubject: =?UTF-8?B?RWxmZWxlanRldHQgamVsc3rDsw==?=\r\n" },
    { LANE_CODE, 1, "From: cont@magazin.example\r\nSubject: Cod de verificare 482913\r\n" },
    { LANE_CODE, 1,
      "From: info@site.example\r\nSubject: =?UTF-8?B?zprPic60zrnOus+Mz4IgzrXPgM6xzrvOrs64zrXPhc+DzrfPgg==?=\r\n" },
    { LANE_CODE, 1,
      "From: info@site.example\r\nSubject: =?UTF-8?B?2LHZhdiyINin2YTYqtit2YLZgiDYp9mE2K7Yp9i1INio2YM=?=\r\n" },
    { LANE_CODE, 1,
      "From: info@site.example\r\nSubject: =?UTF-8?B?16fXldeTINeQ15nXnteV16o6IDQ4MjkxMw==?=\r\n" },
    { LANE_CODE, 1,
      "From: info@site.example\r\nSubject: =?UTF-8?B?TcOjIHjDoWMgbmjhuq1uIGPhu6dhIGLhuqFu?=\r\n" },
    { LANE_CODE, 1, "From: info@site.example\r\nSubject: Kode verifikasi Anda 482913\r\n" },
    { LANE_CODE, 1,
      "From: info@site.example\r\nSubject: =?UTF-8?B?4Lij4Lir4Lix4Liq4Lii4Li34LiZ4Lii4Lix4LiZ4LiC4Lit4LiH4LiE4Li44LiT?=\r\n" },
    { LANE_CODE, 1,
      "From: info@site.example\r\nSubject: =?UTF-8?B?4KSG4KSq4KSV4KS+IOCkuOCkpOCljeCkr+CkvuCkquCkqCDgpJXgpYvgpKE=?=\r\n" },
};
/* clang-format on */

static enum lane
lane_of_header(const char *header, struct lane_facts facts, char why[LANE_WHY_MAX])
{
    struct header_facts survey;

    CHECK(header_survey(str_from(header), 100, &survey) == OK);
    facts.header = &survey;
    memset(why, 0, LANE_WHY_MAX);
    return lane_of(&facts, why);
}

static void
headers_take_the_lanes_that_people_expect(void)
{
    char why[LANE_WHY_MAX];

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct lane_facts facts = { .recipients = cases[i].recipients };
        enum lane lane = lane_of_header(cases[i].header, facts, why);
        if (lane != cases[i].lane)
            printf("%s (%s): %s\n", lane_name(lane), why, cases[i].header);
        CHECK(lane == cases[i].lane);
        CHECK(why[0] && str_is_utf8(str_from(why)));
    }
}

static void
what_is_not_in_the_header_counts_too(void)
{
    const char *plain = "From: a@b.example\r\nSubject: hello\r\n\r\n";
    char why[LANE_WHY_MAX];

    CHECK(lane_of_header(plain, (struct lane_facts){ .recipients = 24 }, why) == LANE_PERSONAL);
    CHECK(lane_of_header(plain, (struct lane_facts){ .recipients = 25 }, why) == LANE_BULK);
    CHECK_STR(str_from(why), "it has 25 recipients");
    CHECK(lane_of_header(plain, (struct lane_facts){ .recent = 299 }, why) == LANE_PERSONAL);
    CHECK(lane_of_header(plain, (struct lane_facts){ .recent = 300 }, why) == LANE_BULK);
    CHECK(lane_of_header(plain, (struct lane_facts){ .from_program = true }, why) == LANE_NOTICE);
    CHECK(lane_of_header(plain, (struct lane_facts){ .null_sender = true }, why) == LANE_NOTICE);
    CHECK(lane_of_header(plain, (struct lane_facts){ .priority = -4 }, why) == LANE_BULK);
    CHECK(lane_of_header(plain, (struct lane_facts){ .priority = 9 }, why) == LANE_PERSONAL);
    CHECK(lane_of_header("", (struct lane_facts){ .recipients = 1 }, why) == LANE_PERSONAL);
}

static void
a_newsletter_does_not_jump_the_lane(void)
{
    const char *code = "From: a@b.example\r\nSubject: Your login code\r\n";
    const char *list = "From: a@b.example\r\nSubject: Your login code\r\nList-Id: <a.b>\r\n";
    char why[LANE_WHY_MAX];

    CHECK(lane_of_header(code, (struct lane_facts){ .recipients = 3 }, why) == LANE_CODE);
    CHECK_STR(str_from(why), "the subject says 'login code'");
    CHECK(lane_of_header(code, (struct lane_facts){ .recipients = 4 }, why) == LANE_PERSONAL);
    CHECK(lane_of_header(code, (struct lane_facts){ .recipients = 25 }, why) == LANE_BULK);
    CHECK(lane_of_header(list, (struct lane_facts){ .recipients = 1 }, why) == LANE_BULK);
    CHECK_STR(str_from(why), "it has a List-Id field");
}

static void
only_the_front_of_a_subject_is_looked_at(void)
{
    char header[3000] = "From: a@b.example\r\nSubject: ";
    char why[LANE_WHY_MAX];

    for (size_t len = strlen(header); len < 2000; len++)
        header[len] = (len % 9) ? 'x' : ' ';
    memcpy(header + 2000, " login code\r\n", 14);
    CHECK(lane_of_header(header, (struct lane_facts){ .recipients = 1 }, why) == LANE_PERSONAL);
    memcpy(header + 40, " login code ", 12);
    CHECK(lane_of_header(header, (struct lane_facts){ .recipients = 1 }, why) == LANE_CODE);
}

static void
check_sorted(const char *const *words, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (strcmp(words[i - 1], words[i]) >= 0)
            printf("%s before %s\n", words[i - 1], words[i]);
        CHECK(strcmp(words[i - 1], words[i]) < 0);
    }
}

static void
the_words_are_sorted(void)
{
    check_sorted(lane_phrases, lane_phrase_count);
    check_sorted(lane_code_words, lane_code_word_count);
    check_sorted(lane_other_codes, lane_other_code_count);
}

int
main(void)
{
    RUN(headers_take_the_lanes_that_people_expect);
    RUN(what_is_not_in_the_header_counts_too);
    RUN(a_newsletter_does_not_jump_the_lane);
    RUN(only_the_front_of_a_subject_is_looked_at);
    RUN(the_words_are_sorted);
    return check_end();
}
