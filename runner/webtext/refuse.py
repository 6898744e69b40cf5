"""What stands in the place of a page, and how it is told: other files, walls, error pages, empty shells."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

MOST_BYTES = 8 << 20
_SHORT = 80
"""Words up to which a text may be a wall: an article about consent walls is longer."""
_HARDLY = 20
_HEADED = 200
"""Words up to which a headline alone decides."""

_MAGIC = (
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive or office file"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
    (b"\x1f\x8b", "a gzip file"),
)
_ERROR = "an error page (a soft 404)"
_DOWN = "an error page (the service was down)"
_LOGIN = "a log-in wall"
# Said in the ten most usual languages of the web, and Polish and Turkish. A headline that is nothing but one of these,
# or a short text that holds one, is no page.
_NOT_FOUND = (
    r"(?:page|file|site|article|document)s?\b.{0,40}\b(?:(?:not|never) (?:be )?found|not exist|n.t exist|no longer"
    r" (?:available|exists?))|not find (?:that|the|this) page|n.t find (?:that|the|this) page|error 404|404 error"
    r"|\b404\b.{0,20}not found|404 not found|page (?:is )?(?:missing|unavailable)"
    r"|seite (?:wurde |konnte )?(?:leider )?nicht (?:gefunden|vorhanden)|seite existiert nicht"
    r"|page (?:non trouvée|introuvable|inexistante|n.existe (?:pas|plus))|page .{0,30}est introuvable"
    r"|página (?:que .{0,30})?(?:no (?:encontrada|existe|se encuentra)|no ha sido encontrada)"
    r"|(?:no se (?:ha )?enc(?:ontró|uentra|ontrado)) la página"
    r"|página (?:que .{0,30})?não (?:encontrada|existe|foi encontrada)"
    r"|pagina (?:non trovata|non esiste|inesistente|niet gevonden|bestaat niet)"
    r"|(?:nie znaleziono|brak) (?:takiej )?strony|strona nie (?:istnieje|została znaleziona)"
    r"|страниц[аы] не (?:найдена|существует)|страницу .{0,20}не найдена|sayfa bulunamadı"
    r"|ページ(?:が|は)(?:見つかりません|存在しません|削除されました)"
    r"|(?:页面|頁面|网页|網頁|页)(?:不存在|未找到|找不到|没有找到)|找不到(?:页面|頁面|网页|網頁)"
)
_UNAVAILABLE = (
    r"service (?:is )?(?:temporarily |currently )?unavailable|bad gateway|gateway time-?out|internal server error"
    r"|too many requests|temporarily (?:unavailable|down|out of service)|down for (?:scheduled )?maintenance"
    r"|(?:dienst|seite|service|website) (?:ist )?(?:vorübergehend|derzeit|zurzeit) nicht (?:verfügbar|erreichbar)"
    r"|(?:service|site) (?:est )?(?:temporairement |momentanément )?(?:indisponible|en maintenance)"
    r"|(?:servicio|sitio) (?:temporalmente )?(?:no disponible|en mantenimiento)"
    r"|(?:serviço|site) (?:temporariamente )?(?:indisponível|em manutenção)"
    r"|(?:servizio|sito) (?:temporaneamente )?(?:non disponibile|in manutenzione)"
    r"|tijdelijk niet (?:beschikbaar|bereikbaar)|(?:tymczasowo|chwilowo) niedostępn[aey]"
    r"|временно недоступ\w+|geçici olarak kullanılamıyor|メンテナンス中|一時的に(?:利用|アクセス)できません"
    r"|(?:服务|服務)(?:暂时|暫時)?不可用|(?:系统|系統|网站|網站)(?:维护|維護)"
)
_LOG_IN = (
    r"(?:log|sign) ?[io]n\b.{0,200}\bpassword|\bpassword\b.{0,200}\b(?:log|sign) ?in\b"
    r"|(?:forgot|lost) (?:your )?password"
    r"|(?:log|sign) ?in to (?:continue|read|view|see|access|your account)|please (?:log|sign) ?in"
    r"|(?:must|need to) (?:be )?(?:logged|signed|log|sign) ?in|subscribe (?:now )?to (?:continue|read|unlock)"
    r"|for (?:subscribers|members) only|account to (?:continue|read)"
    r"|(?:anmelden|einloggen|melden sie sich)\b.{0,200}passwort|passwort vergessen|nur für (?:abonnenten|mitglieder)"
    r"|(?:connectez-vous|se connecter|connexion).{0,200}mot de passe|mot de passe oublié|réservé aux abonnés"
    r"|(?:inicia(?:r)? sesión|acceder).{0,200}contraseña|olvid(?:ó|aste) (?:su|tu) contraseña|solo para suscriptores"
    r"|(?:entrar|iniciar sessão|login).{0,200}senha|esquece(?:u|ste) (?:a |sua |a sua )?senha|para assinantes"
    r"|accedi.{0,200}password|password dimenticata|riservato agli abbonati"
    r"|(?:inloggen|aanmelden).{0,200}wachtwoord|wachtwoord vergeten|(?:zaloguj|logowanie).{0,200}hasło"
    r"|(?:войти|вход|войдите|авторизация).{0,200}парол|забыли пароль|(?:giriş yap|oturum aç).{0,200}(?:şifre|parola)"
    r"|ログイン.{0,200}パスワード|パスワードを(?:お?忘れ)|(?:登录|登入|登錄).{0,200}(?:密码|密碼)|忘记密码"
)
_WALLS = (
    (
        "a check of the browser",
        r"checking (?:if )?(?:your browser|the site connection)|verify(?:ing)? (?:that )?you are (?:a )?human"
        r"|just a moment\.\.\.|enable javascript and cookies|captcha|unusual traffic|are you a robot"
        r"|ddos protection|\baccess denied",
    ),
    (_ERROR, _NOT_FOUND),
    (_DOWN, _UNAVAILABLE),
    (
        "a consent wall",
        r"we value your privacy|store and(?:/or)? access information on a device|\baccept all\b"
        r"|\b(?:accept|allow) (?:all )?cookies|\bour \d* ?partners|cookie (?:consent|settings)"
        r"|alle akzeptieren|tout accepter|aceptar todo",
    ),
    (_LOGIN, _LOG_IN),
    (
        "a shell that shows nothing without JavaScript",
        r"(?:enable|requires?|needs?|without|turn on|activate) (?:\w+ )?javascript"
        r"|javascript (?:is|to be) (?:disabled|enabled|required)",
    ),
)
_CODE = r"(?:(?:http|error|fehler|erreur|errore?|erro|fout|błąd|ошибка|hata|エラー|错误|錯誤)\W*)*"
_HEADS = (
    (
        _ERROR,
        rf"{_CODE}(?:40[0134]|410)(?: (?:error|(?:page )?not found|forbidden|unauthorized|bad request|gone))?"
        rf"|(?:oops|sorry|ups|hoppla|404)?\W*(?:{_NOT_FOUND})|not found|nicht gefunden|forbidden",
    ),
    (_DOWN, rf"{_CODE}(?:429|50[0234])?\W*(?:{_UNAVAILABLE})|{_CODE}(?:429|50[0234])"),
    (
        _LOGIN,
        r"(?:log|sign) ?in|login|anmelden|anmeldung|einloggen|connexion|se connecter|iniciar sesión|entrar|accedi"
        rf"|inloggen|logowanie|zaloguj się|вход|войти|giriş yap|ログイン|登录|登入|(?:{_LOG_IN})",
    ),
)
_LISTING = re.compile(r"(?:index of|directory listing (?:for|of)) /", re.I)
_LINKS, _OF_LINKS = 10, 0.9


def solid(text: str) -> str:
    """Letters and digits alone: what two renderings of one text have in common."""
    return re.sub(r"\W+", "", text.lower())


class NoPage(Exception):
    """Not a page to learn from; `str()` says why."""


def refuse_bytes(data: bytes) -> None:
    """Raises NoPage for what is another kind of file, or larger than any page that people read."""
    if not data.strip(b"\0 \t\r\n"):
        raise NoPage("empty")
    for magic, what in _MAGIC:
        if data.lstrip(b" \t\r\n").startswith(magic):
            raise NoPage(f"not a page: {what}")
    if len(data) > MOST_BYTES:
        raise NoPage(f"too large: over {MOST_BYTES >> 20} MB of HTML")


def refuse_text(
    text: str, words: int, titles: Sequence[str], moved: str, shown: str, links: Collection[str]
) -> None:
    """Raises NoPage for what stands in the place of a page.

    `titles` are the browser's and the headlines, `shown` is all that a browser would show, `links` the texts that are
    nothing but a link, solid. A banner is on many a page: it counts where it is the main text, or where there is
    hardly any other. So an article about error pages or log-ins stays: it is longer, or says more than that.
    """
    said = "\n".join((*titles, text))
    if words < _SHORT:
        if moved:
            raise NoPage(f"not a page: it moves on to {moved} at once (meta refresh)")
        if words < _HARDLY:
            said = f"{said}\n{shown}"
        for what, pattern in _WALLS:
            if re.search(pattern, said, re.I | re.S):
                raise NoPage(f"not a page: {what}")
    for head in titles:
        if _LISTING.match(head):
            raise NoPage("not a page: a listing of a folder's files")
        for part in re.split(r"\s[|–—·-]+\s|:\s", head[:300]) if words < _HEADED else ():
            for what, pattern in _HEADS:
                if re.fullmatch(rf"\W*(?:{pattern})\W*", part, re.I):
                    raise NoPage(f"not a page: {what}")
    if not words:
        raise NoPage("no main text found")
    lines = [solid(line) for line in text.split("\n")]
    linked = [line for line in lines if line in links and line]
    if len(linked) >= _LINKS and sum(map(len, linked)) >= _OF_LINKS * sum(map(len, lines)):
        raise NoPage("not a page: nothing but a list of links")
