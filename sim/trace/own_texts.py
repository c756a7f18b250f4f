"""What a text that no run wrote shows by its words alone: a program's error or value, an apology, or a customary notice.

A relay says best itself which texts are its own (`promises`). This is for what it has not declared, in the languages that
its customers most likely write. Whatever is found may be wrapped, quoted or escaped.

Would miss: errors in words of the relay's author; `null`, `nan` and `undefined` amid a sentence where people write them too;
apologies and notices in other languages or in unusual words, which then count as texts that nobody declared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from relaysim.sim.trace.words import wording

_PHRASES: Final = "|".join(sorted(re.escape(each.phrase) for each in HTTPStatus if each >= 400))

_PROGRAM_ERROR: Final = re.compile(
    rf"""
    # What Python, Node, Go and the JVM print of an exception that nobody caught.
      Traceback\ \(most\ recent\ call\ last\) | ^\s*File\ "[^"]+",\ line\ \d+ | ^\s+at\ \S+\ \(?\S+:\d+:\d+\)?
    | Unhandled(?:Promise)?Rejection | ^panic:\  | Exception\ in\ thread\ " | \b[Ss]egmentation\ fault\b
    # The names of exceptions, also without what they say, and of the modules that define them.
    | \b[A-Z]\w*(?:Error|Exception)\b | \b(?:KeyboardInterrupt|SystemExit|StopIteration|NoneType)\b
    | \b[a-z_]\w*(?:\.\w+)*\.(?:exceptions?|errors?)\.[A-Z]\w+
    # Statuses of HTTP, and errors as an API, a JSON body or the system words them.
    | \bError\ code:\ \d{{3}}\b
    | \b(?i:HTTP|status)(?:/[\d.]+)?(?:[ _](?i:status|error))?(?:[ _]?code)?["']?(?::\ ?|=|\ )["']?[45]\d\d\b
    | \b[45]\d\d[ :'"-]+(?:{_PHRASES})\b | \bInternal\ Server\ Error\b
    | ["'](?:error|errors|exception|traceback|last_error|error_code|error_message|status_code)["']\s*:
      (?!\s*(?:null|None|false|False|0|""|''|\[\]|\{{\}}))
    | \b(?:[a-z]+_)+error\b | \b(?:rate_limit_exceeded|insufficient_quota|invalid_api_key)\b
    | \[Errno\ -?\d+\] | \bE(?:CONN(?:REFUSED|RESET|ABORTED)|TIMEDOUT|NOTFOUND|PIPE|AI_AGAIN|HOSTUNREACH)\b
    | \bError\ \d+\ (?:connecting\ to|while)\b | \bat\ 0x[0-9a-f]{{8,16}}\b | \bcontext\ deadline\ exceeded\b
    # What clients and servers of Redis say.
    | \b(?:WRONGTYPE\ Operation|NOSCRIPT\ No|CROSSSLOT\ Keys|CLUSTERDOWN\ \w|MASTERDOWN\ Link|MISCONF\ \w|READONLY\ You
      |NOAUTH\ Auth|NOGROUP\ No|BUSYGROUP\ \w|LOADING\ Redis|BUSY\ Redis|OOM\ command|MOVED\ \d)
    | \bTimeout\ (?:reading\ from|connecting\ to)\ \S | \bConnection\ closed\ by\ server\b
    # What the API's refusals and Python's own errors say.
    | \bCan't\ add\ messages\ to\ \S+\ while\ a\ run\b | \bwhile\ a\ run\ \S+\ is\ active\b
    | \balready\ has\ an\ active\ run\b
    | \bCannot\ cancel\ run\ with\ status\b | \bNo\ (?:thread|run|assistant|message)\ found\ with\ id\b
    | \bobject\ has\ no\ attribute\b | \bindex\ out\ of\ range\b | \bis\ not\ (?:subscriptable|callable|iterable)\b
    | \bunexpected\ keyword\ argument\b | \brequired\ positional\ argument\b | \bnot\ JSON\ serializable\b
    | \bExpecting\ value:\ line\b | \bCannot\ read\ propert(?:y|ies)\ of\b
    # Words that people use too, where they are all that is said: in a line, after a colon, in quotes or brackets.
    | (?:^|[:("'\[`>–—-])\ *(?:Connection\ error|Request\ timed\ out|Connection\ refused|Connection\ reset\ by\ peer
      |Internal\ error|Bad\ gateway|Timed\ out)\.?(?=\ *(?:$|[)"'\]`<]))
    """,
    re.MULTILINE | re.VERBOSE,
)

_API: Final = re.compile(
    r"\b(?:OpenAI|Azure|Redis|API|HTTP|JSON)\b|\((?:(?i:http|error|code|status)[ :]*)*[45]\d\d\)"
    r"|\b(?i:error|code|status|http)[ :#=]+[45]\d\d\b"
)
"""An API's name, or a status of HTTP: what a program's author reads, and no customer."""

_NOUNS: Final = (
    r"(?i:order|ticket|case|reference|ref|number|customer|client|user|name|mrs?|ms|parcel|invoice|account|balance|item|date"
    r"|pedido|número|cliente|nome|nombre|senhora?|bestellung|kund(?:e|in)|nummer|paket|rechnung|frau|herr|commande|madame"
    r"|monsieur|ordine|numero)[.:#]?"
)
"""What a template names before the place that is to be filled."""

_UNITS: Final = (
    r"(?:[€$£%]|(?i:euros?|eur|usd|brl|dollars?|reais|pounds?|cents?|minutes?|mins?|minutos?|minuten|hours?|horas?|stunden|heures?"
    r"|seconds?|segundos?|sekunden|days?|dias?|días?|tagen?|jours?|weeks?|items?|pieces?|messages?|points?|kg|km)\b)"
)

_VERBS: Final = r"(?i:is|was|has|will|on|at|from|by|ist|wurde|foi|está|est)\b"

_BEFORE_A_CHOICE: Final = (
    r"(?:or|and|nor|of|an|not|oder|und|ou|y|e|o|et|reply|replies|write|type|say|says|answer|choose|select|pick|enter|press"
    r"|tap)"
)

_PROGRAM_VALUE: Final = re.compile(
    rf"""
    # Objects, as Python and JavaScript print them, and the content of a message as the API's client holds it.
      \b[A-Z]\w*[a-z]\w*\([a-z_]\w*=(?=\S) | <class\ '[\w.]+'>
    | <(?:bound\ method|function|coroutine\ object|(?:async_)?generator\ object)\ [\w.<>]+
    | \[object\ [A-Z]\w*\] | ["']annotations["']\s*:\s*\[ | '\w+':\ (?:None|True|False)\b | \bInvalid\ Date\b
    # Places in a template that nobody filled.
    | %\(\w+\)[-+\#0\ ]*[\d.]*[sdrif]\b | \{{\{{\s*[\w.]+(?:\s*\|[^{{}}\n]*)?\s*\}}\}} | \$\{{\s*[\w.]+\s*\}}
    | \{{[A-Za-z_]\w*(?:[.\[][\w.\[\]'"]*)?(?:![rsa])?(?::[-+\#0,\ ]*[\d.]*[a-z%]?)?\}}
    | <%[=-]?\s*[\w.]+\s*%> | (?<![\d%\w])(?<!\d\ )%[sd](?![\w%])
    # What stands for nothing: alone in a line, as who speaks or is greeted, or as what is told.
    | ^[\s>"'`*_(\[]*(?P<alone>None|null|undefined|NaN)[ "'`*_)\]]*$
    | ^\W*(?P<speaker>None|null|undefined):(?=\s)
    | \b(?i:hi|hello|hey|dear|hallo|liebe[rs]?|hola|ol[áa]|oi|bonjour|ciao|thanks|thank\ you|obrigad[oa]),?\ +
      (?P<greeted>None|null|undefined|nan)\b(?!\ *\w)
    | :\ *(?P<told>undefined)(?=\ *(?:$|[,;.!)\[])) | (?<![\w-])(?P<number>NaN)(?![\w-])
    # The same amid a sentence: as the number or name of something, as how much, and None behind a small word, where it is no
    # beginning, no choice, and nothing to be written.
    | \b{_NOUNS}\ +(?:(?P<named>null|nan)(?=\ +{_VERBS}|[,;)])|(?P<unnamed>undefined)(?=\ +{_VERBS}|\))|(?P<called>None)\b)
    | (?<!\w)\#\ ?(?P<numbered>None|null|undefined|nan)\b
    | \b(?P<amount>None|undefined|nan)\ ?(?={_UNITS}) | [€$£]\ ?(?P<price>None|null|undefined|nan)\b
    | (?<!\w)(?!{_BEFORE_A_CHOICE}\ )[^\W\d_A-Z]+\ (?P<amid>None)\b(?!\ of\b)
    """,
    re.MULTILINE | re.VERBOSE,
)
"""What a program prints in the place of words."""

_FAILED: Final = (
    r"(?:something|it|that|this) (?:went|has gone) wrong|errors? (?:has |have )?occurred|try(?:ing)? (?:it )?again"
    r"|(?:unable|not able) to (?:process|answer|handle|complete|reply|respond|reach|help|serve)"
    r"|(?:could|can|did|does) ?no?'?t (?:process|answer|handle|complete|reply|respond|reach|help|serve)"
    r"|ocorreu um erro|algo deu errado|tente (?:de novo|novamente)|tenta novamente"
    r"|ha ocurrido un error|algo sali[óo] mal|int[ée]nt[ae]lo"
    r"|fehler aufgetreten|schief ?gelaufen|versuchen sie es|versuch es|une erreur|r[ée]essay\w+|riprova\w*"
)
_EXCUSES: Final = (
    r"sorry|apologi[sz]e|apolog(?:y|ies)|regret(?:s|tably)?|desculp\w+|perd[ãa]o|lamento|lamentamos"
    r"|disculp\w+|perd[óo]n\w*|lo siento|lo sentimos|entschuldig\w+|verzeih\w+|tut (?:mir|uns) leid"
    r"|d[ée]sol[ée]e?s?|excusez|pardon|mi dispiace|scus[ai]\w*"
)
_FAILURE: Final = re.compile(rf"\b(?:{_FAILED})\b", re.IGNORECASE)
_APOLOGY: Final = re.compile(rf"\b(?:{_FAILED}|{_EXCUSES})\b", re.IGNORECASE)
"""How a text says that something failed, or asks to be excused for it."""

_QUOTED: Final = re.compile(
    r'"[^"\n]*"|“[^”\n]*”|«[^»\n]*»|„[^“”\n]*[“”]|`[^`\n]*`|(?<!\w)\'[^\n]*?\'(?!\w)|^\s*>.*$', re.MULTILINE
)

_CUSTOMARY: Final = re.compile(
    # Wait.
    r"\b(?:moments?|momento|momentito|momentinho|instante?s?|instant|(?:one|few|just a|hold a) (?:sec|seconds?)"
    r"|(?:um|un) segund\w+|sekunde|minutes?|minuto|minutinho|augenblick|wait|waiting|espere?|espera|aguarde?|aguardando"
    r"|warten|patience|paciencia|paciência|geduld|patientez|attendre|hold on|hang on|hang tight|bear with|stand by"
    r"|tak(?:es?|ing) (?:a bit |a little(?: bit)? |a few |some |much |slightly )?(?:longer|while|time|moments?)"
    r"|(?:dauert|braucht) (?:noch |gerade |leider )*(?:ein(?:en)? |etwas |wenig )*(?:länger|moment|augenblick)"
    r"|(?:demora(?:ndo|r)?|levando|tardando|tomando|tarda(?:r)?) (?:um |un )?(?:pouco|poco|tempo|tiempo|mais|más)"
    r"|prend (?:un peu )?(?:plus (?:de temps|longtemps)|du temps)|(?:richiede|ci vuole) (?:un po'? )?(?:più )?(?:di )?tempo"
    r"|pazienza|attend[ai]|aspett[ai]|un attimo"
    # I am at work.
    r"|typing|thinking|writing|digitando|escrevendo|escribiendo|pensando|tippt?|denke|schreibe|écris|réfléchis"
    r"|looking into|working on|work on it|on it|at work|busy|right back|be with you|with you (?:shortly|soon)"
    r"|(?:let me|i(?:'ll| will)|we(?:'ll| will)|i'?m|we(?:'re| are)) (?:now |still )*"
    r"(?:check|look|see|search|think|get back|work|read|go through|find)\w*"
    r"|processing(?: (?:it|your (?:message|question|request)))?\s*$|checking|searching|consulting"
    r"|verificando|vou verificar|consultando|buscando|procurando|processando|procesando|trabajando|trabalhando|arbeite"
    r"|schaue nach|schauen nach|prüfen?|überprüfen?|kümmer\w+|verifying|reviewing"
    r"|je (?:le |la |les |vous )?(?:vérifie|regarde|consulte|cherche)|nous (?:le |la )?(?:vérifions|regardons|cherchons)"
    r"|(?:estou |vou )?(?:verificar|verifico|checando)|(?:estoy |voy a )?(?:revisar|reviso|revisando|compruebo|comprobando)"
    r"|verifichiamo|controllo|controlliamo|(?:sto|stiamo) (?:verificando|controllando|cercando)"
    r"|(?:reply|respond|answer|write back|come back)(?: to)?(?: you)? (?:shortly|soon|in a (?:moment|minute)|as soon as)"
    r"|respond(?:o|erei|eremos|eré|emos) (?:em breve|logo|en breve|pronto)"
    r"|(?:antworten?|meld\w+) .{0,30}(?:in kürze|gleich|bald)"
    r"|répond(?:s|ons|rai|rons) .{0,20}(?:bientôt|rapidement|vite)|rispond(?:o|iamo|eremo|erò) .{0,20}(?:a breve|presto)"
    # Hello, and thank you.
    r"|hi|hello|hey|hallo|hola|olá|oi|bonjour|salut|ciao|moin|servus|good (?:morning|afternoon|evening|day)"
    r"|bom dia|boa (?:tarde|noite)|buen(?:os|as) (?:días|tardes|noches)|guten (?:tag|morgen|abend)|bonsoir"
    r"|welcome|willkommen|bem[- ]vind\w+|bienvenid\w+|bienvenue|thanks|thank you|obrigad\w+|gracias|danke|merci|grazie"
    r"|(?:got|received|recebi|recebemos|recibí|recibimos|recibido|erhalten|reçu|ricevuto)"
    r" (?:it|your|this|a sua|sua|tu|su|ihre|deine|votre|ton|il (?:suo|tuo))"
    r"|(?:message|messages|question|request) (?:(?:has|have) been |was |were )?received"
    r"|(?:mensagem|mensaje|messaggio) (?:foi |ha sido )?(?:recebida|recibido|ricevuto)"
    r"|(?:got|received) \d+(?: messages?)?$|message (?:a été |est )?(?:bien )?(?:reçu|arrivé)"
    r"|nachricht(?:en)? (?:ist |sind |dankend |bereits |gut )*(?:erhalten|eingegangen|angekommen)"
    r"|tudo bem|how (?:can|may) i help|como posso (?:te )?ajudar|wie kann ich|anything else|mais alguma coisa|algo más"
    r"|still there|please|bitte|por favor|per favore|vous plaît|ok|okay|sure|of course|all right|claro"
    # Here it is, and goodbye.
    r"|here(?:'s| is| are) (?:your|the|what)|aqui est[áã]o?|aqu[íi] est[áa]n?|hier (?:ist|sind|kommt)|voici|ecco"
    r"|(?:great|good) question|happy to help|hopes? (?:this|that|it) (?:helps|helped)|let (?:me|us) know"
    r"|(?:other|further|more) questions|feel free|have a (?:nice|good|great|lovely)|(?:best|kind|warm) (?:regards|wishes)"
    r"|yours (?:sincerely|truly)|cheers|goodbye|bye|take care|see you|you(?:'re| are) welcome"
    r"|espero (?:ter ajudado|que ajude|haber ayudado)|atenciosamente|abraços?|um abraço|até (?:logo|breve)|saludos"
    r"|un saludo|que tenga|tenha um|de nada|(?:mit freundlichen|viele|liebe|beste) grüßen?|freundliche grüße|gern geschehen"
    r"|schönen (?:tag|abend)|cordialement|bonne (?:journée|soirée)|je vous en prie|cordiali saluti|buona giornata|prego"
    # This is what I am.
    r"|i(?:'m| am) (?:a|an|the|your) .{0,40}\b(?:bot|assistant|ai)|virtual assistant|assistente virtual|asistente virtual"
    r"|written by a machine|automatic (?:reply|answer|message))\b",
    re.IGNORECASE,
)
"""What notices say: that somebody is there, or at work."""

_KINDS_READ: Final = re.compile(
    r"\b(?:text[- ]only|only (?:\w+ ){0,2}text|text messages|mensagens de texto|mensajes de texto"
    r"|(?:send|write|type|envie|escreva|envíe|escriba) .{0,40}\btext\w*"
    r"|(?:só|apenas|somente|sólo|solo|solamente|nur|seulement|uniquement|soltanto) .{0,20}"
    r"\b(?:texte?s?|testo|textos?|textnachricht\w*)"
    r"|voice (?:messages?|notes?)|audios?|stickers?|images?|imagens|imágenes|fotos?|photos?|pictures|bilder|attachments?"
    r"|sprachnachrichten|vocaux)\b",
    re.IGNORECASE,
)
"""Which kind of message can be read. Every message that customers write here is plain text, so that it is none of these
that such a notice answers."""

_AFFAIRS: Final = re.compile(
    r"\b(?:cancel\w*|refund\w*|approv\w*|confirm\w*|charg\w*|shipp\w*|deliver\w*|paid|payments?|credited|booked|delet\w+|issued"
    r"|blocked|reembols\w*|aprovad\w*|entreg\w*|pag(?:o|ou|amento\w*)|enviado|aprobad\w*|storn\w*|erstatt\w*|bezahlt|geliefert"
    r"|rembours\w*|annul\w*|pay[ée]e?s?|livr[ée]e?s?)\b|[€$£]|\b(?:EUR|USD|BRL|R\$)",
    re.IGNORECASE,
)
"""What only somebody may say who knows the customer's affairs, however politely."""

_DEED: Final = re.compile(
    r"\b(?:has|have|had|been|was|were|is|we|i|i've|we've|foi|foram|está|fue|fueron|ha|han|hemos|he|wurden?|ist|sind|haben?|habe"
    r"|été|est|avons|è|sono|stat[oa]|abbiamo) (?:\w+ ){0,3}"
    r"(?:cancel+ed|refunded|approved|confirmed|charged|shipped|delivered|paid|credited|booked|deleted|issued|blocked|rejected"
    r"|reembolsad\w*|reembolsamos|cancelad\w*|cancelamos|aprovad\w*|confirmad\w*|entregue|entregad\w*|pag[ao]s?|enviad\w*"
    r"|aprobad\w*|stornier\w*|erstattet|bezahlt|geliefert|gebucht|genehmigt|abgelehnt|rembours[ée]\w*|annul[ée]\w*|pay[ée]\w*"
    r"|livr[ée]\w*|annullat\w*|rimborsat\w*)\b",
    re.IGNORECASE,
)
_OF_YOURS: Final = re.compile(
    r"\b(?:you|yours?|seus?|suas?|você|tus?|sus?|ihre?[nrms]?|dein\w*|sie|dich|votre|vos|vous|tuo|tua|suo)\b",
    re.IGNORECASE,
)
_IN_GENERAL: Final = re.compile(
    r"\b(?:not|never|no|if|once|when|until|unless|after|before|within|usually|always|only|normally|every|each|until|nicht|nie"
    r"|kein\w*|wenn|falls|sobald|erst|nur|immer|não|nunca|se|quando|após|sempre|si|cuando|sólo|solo|siempre|pas|jamais|lorsque"
    r"|dès|seulement|toujours|non|mai|sempre)\b",
    re.IGNORECASE,
)
"""What makes a sentence a rule, or says that something was not done."""

_CLAUSE_END: Final = re.compile(
    r"[.!?…;:\n]+|[–—,]|\band\b|\be\b|\by\b|\bund\b|\bet\b|\bbut\b|\bmas\b|\bpero\b|\baber\b", re.IGNORECASE
)
_WORDS: Final = re.compile(r"[^\W_]+")
_CLAUSE_WORDS_MAX: Final = 14
_FILLER_WORDS_MAX: Final = 1
"""A clause without customary words may have so many: a name."""


@lru_cache(maxsize=4096)
def program_errors(text: str) -> tuple[str, ...]:
    """What a text shows of a program's insides: each piece that no person would write to another, as it stands.

    Remembered, as `program_values`: a relay sends the same few texts of its own in every world.
    """
    found = (each for form in wording(text).undone for each in _PROGRAM_ERROR.finditer(form))
    return tuple(each[0].strip(" :('\"[`>-–—") for each in found)


def shows_api(text: str) -> bool:
    """Whether a text names an API or a status code of one; what it quotes is not its own."""
    return _API.search(_QUOTED.sub(" ", text.replace("’", "'"))) is not None


@lru_cache(maxsize=4096)
def program_values(text: str) -> tuple[str, ...]:
    """What a text shows of a program's objects, of unfilled templates and of values that stand for nothing, as it stands."""
    found = (each for form in wording(text).undone for each in _PROGRAM_VALUE.finditer(form))
    return tuple(each[each.lastgroup or 0] for each in found)


def apologises(text: str) -> bool:
    """Whether a text says that something failed, or asks to be excused; what it quotes is not its own."""
    return _APOLOGY.search(_own(text)) is not None


def says_that_it_failed(text: str) -> bool:
    """Whether a text says that something failed, or asks to try again; more than "sorry for the wait"."""
    return _FAILURE.search(_own(text)) is not None


def _own(text: str) -> str:
    """A text without what it quotes."""
    return _QUOTED.sub(" ", text.replace("’", "'"))


def is_customary(text: str) -> bool:
    """Whether a text is a notice as relays send it, all of it: a greeting, a request to wait, an apology.

    It then says nothing of the customer's own affairs, about which only a run, or the relay's author, can know.
    """
    return _KINDS_READ.search(text) is None and next(uncustomary_clauses(text), None) is None


def uncustomary_clauses(text: str) -> Iterator[str]:
    """The clauses of a text that are in no notice as relays send it."""
    for clause in map(str.strip, _CLAUSE_END.split(text.replace("’", "'"))):
        words = len(_WORDS.findall(clause))
        if not words:
            continue
        is_usual = words <= _FILLER_WORDS_MAX or _CUSTOMARY.search(clause) or _APOLOGY.search(clause)
        if not is_usual or words > _CLAUSE_WORDS_MAX or tells_of_affairs(clause):
            yield clause


def tells_of_affairs(text: str) -> bool:
    """Whether a text says what only somebody may say who knows the customer's affairs, of orders and money."""
    return _AFFAIRS.search(text) is not None


def tells_of_a_deed(text: str) -> bool:
    """Whether a sentence says that something was done with the customer's order or money: "Your refund was approved"."""
    return bool(_DEED.search(text) and _OF_YOURS.search(text)) and _IN_GENERAL.search(text) is None
