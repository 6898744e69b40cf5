"""Words for the corpus: eleven languages, the most frequent words first.

The head of each list are that language's real function words, so that a language filter sees what
it would see; the tail is made of stems and endings, so that there are as many rare words as in
natural text. No third-party text or list is in here.
"""

from __future__ import annotations

from itertools import product

SIZE = 30_000  # words of English; others get as many as their stems and endings make


def _words(text: str) -> list[str]:
    return text.split()


# Frequent first, roughly as English has it, so that four words in ten are function words of its own. No
# contractions: splitters disagree about those.
ENGLISH = _words("""
the and of to that it a i for you his with not but this in they have had which be from is was he her
are she their on there were would when who will if as at by been or all we an one has more out up
so said what its about than into them can only other time new some could these two may first then
do any like my now over such our man me even most made after also did many off before must well
back through years much where your way down should because long each just state people those too
mr how little good world make very year still see own work men day get here old life both between
being under three never know same last another while us might great go come since against right
came take used himself few house use place during without again around however home small found
thought went say part once general high upon school every does got united left number course war
until always away something fact water though less public put think almost hand enough far took
head yet government system better set told nothing night end why called eyes find going look asked
later knew point next city business give group toward young days let room word given business
present side possible several white order large face early second need later keep door family best
""")

STEMS = _words("""
river stone water wood garden house market letter winter summer morning evening captain sailor
farmer teacher doctor soldier mother father brother sister child friend neighbour village town
harbour island mountain valley forest meadow field bridge road street corner window table chair
kitchen candle lantern mirror picture paper book story song dance music voice whisper silence
thunder rain snow wind storm cloud sun moon star light shadow colour silver gold iron copper glass
cloth leather wheel wagon horse cattle sheep bird feather fish boat anchor sail rope engine hammer
needle button pocket basket bottle bread butter cheese apple cherry pepper sugar honey coffee
supper kettle barrel ladder chimney cellar attic stable fence gate path journey travel wander
answer question reason wonder trouble danger courage honour mercy justice freedom labour trade
master servant prince queen king castle tower palace temple church bell prayer sermon judge
lawyer prison trial witness promise secret treasure fortune bargain money penny dollar profit
fever wound heart finger shoulder elbow knee ankle breath slumber dream memory spirit temper
humour laughter sorrow pleasure anger pride sleep hunger thirst comfort shelter blanket season
harvest orchard barley clover pasture stream fountain pebble gravel marble timber lumber carpenter
butcher baker tailor painter printer reader writer speaker hunter fisher miller mason smith
school lesson chapter sentence measure number pattern figure circle corner border centre distance
border country nation village people company council member leader office order duty service
machine motor signal system method record report paper notice station passage railway carriage
""")

AFTER = (
    "s",
    "er",
    "ing",
    "ed",
    "y",
    "less",
    "like",
    "ly",
    "man",
    "ful",
    "ish",
    "ness",
    "side",
    "work",
    "land",
    "way",
)
# Beyond real words: syllables, as in surnames and place names, two a word.
ONSETS = (
    "b",
    "br",
    "c",
    "cl",
    "d",
    "f",
    "g",
    "h",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "st",
    "t",
    "th",
    "tr",
    "w",
)
RIMES = ("al", "am", "an", "ar", "ed", "el", "en", "er", "ick", "il", "in", "ing", "on", "or", "ow", "ut")

# Function words and other frequent ones; then stems; then endings, which make a tail.
OTHERS = {
    "de": (
        "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden "
        "aus er hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder "
        "aber vor zur bis mehr durch man sein wurde sei ich wenn schon doch immer kein wir ihr unter gegen",
        "haus garten strasse wasser fenster mutter bruder schule wagen brücke himmel abend morgen freund arbeit "
        "kirche könig bauer müller schiff hafen berg wald feld stein holz brief stimme herz",
        "en er ung heit keit lich isch chen los bar sam schaft",
    ),
    "fr": (
        "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il sont avec son "
        "aux d'abord ou elle mais comme on était leur cette ses tout nous sa fait être ces deux même aussi encore "
        "sans peut très après bien où vous avait alors entre quand je lui dont toujours jamais",
        "maison jardin rue eau fenêtre mère frère école voiture pont ciel soir matin ami travail église roi paysan "
        "bateau port montagne forêt champ pierre bois lettre voix coeur lumière ombre",
        "s ment eur euse ier ière age able eux elle ette tion",
    ),
    "es": (
        "de la que el en y a los del se las por un para con no una su al lo como más pero sus le ya o este sí "
        "porque esta entre cuando muy sin sobre también me hasta hay donde quien desde todo nos durante todos uno "
        "les ni contra otros ese eso ante ellos e esto antes algunos qué unos yo otro otras otra",
        "casa jardín calle agua ventana madre hermano escuela coche puente cielo tarde mañana amigo trabajo iglesia "
        "rey campesino barco puerto montaña bosque campo piedra madera carta voz corazón luz sombra",
        "s mente ero era dor dora ito ita oso osa ción able",
    ),
    "it": (
        "di e il la che in un a per è una sono del con non si da come le i dei al nel della più ma gli alla anche "
        "lo suo sua delle ha questo o se dal ci era loro tra cui essere dopo nella molto così tutto quando ancora "
        "perché sempre quello dove stato prima senza poi due questa ogni fra solo",
        "casa giardino strada acqua finestra madre fratello scuola carrozza ponte cielo sera mattina amico lavoro "
        "chiesa contadino barca porto montagna bosco campo pietra legno lettera voce cuore luce ombra",
        "mente ino ina etto etta one oso osa tore trice zione abile",
    ),
    "pt": (
        "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem à "
        "seu sua ou ser quando muito há nos já está eu também só pelo pela até isso ela entre era depois sem "
        "mesmo aos ter seus quem nas me esse eles estão você tinha foram essa num nem suas meu",
        "casa jardim rua água janela mãe irmão escola carro ponte céu tarde manhã amigo trabalho igreja rei camponês "
        "barco porto montanha floresta campo pedra madeira carta voz coração luz sombra",
        "s mente eiro eira dor dora inho inha oso osa ção ável",
    ),
    "nl": (
        "de van een het en in is dat op te zijn met voor niet aan er om ook als dan maar bij door uit nog naar "
        "heeft hij ze werd over wordt deze haar al tot worden die kan meer geen hun zou wel waar veel zo moet "
        "toen hebben onder had was ik wij jij omdat onze tegen tussen altijd alleen weer",
        "huis tuin straat water venster moeder broer school wagen brug hemel avond morgen vriend werk kerk koning "
        "boer molenaar schip haven berg bos veld steen hout brief stem hart licht schaduw",
        "en er ing heid lijk isch je loos baar zaam schap tje",
    ),
    "sv": (
        "och i att det som en på är av för med den till inte har de ett om han men var jag sig från vi så kan när "
        "hon under också efter eller nu sin där vid mot ska skulle kommer ut får finns vara hade alla andra mycket "
        "än här då sedan över bara in blir upp även vad få två vill ha många hur mer går",
        "hus trädgård gata vatten fönster moder broder skola vagn bro himmel kväll morgon vän arbete kyrka kung "
        "bonde mjölnare skepp hamn berg skog fält sten trä brev röst hjärta ljus skugga",
        "en ar er et ning het lig isk lös bar sam skap",
    ),
    "pl": (
        "w i na z się do nie to że jest o jak a po od za przez co ale dla był tak przy tego jego ma być już tylko "
        "oraz która który czy może sobie jej był też ze było są ich bardzo gdy pod bez między jeszcze nad przed "
        "wszystko kiedy więc nawet potem tam tu teraz zawsze nigdy ten ta te",
        "dom ogród ulica woda okno matka brat szkoła wóz most niebo wieczór ranek przyjaciel praca kościół król "
        "chłop młynarz statek port góra las pole kamień drewno list głos serce światło cień",
        "a y em ami owy owa ek ka ość nik arz ski",
    ),
    "ru": (
        "и в не на я быть он с что а по это она этот к но они мы весь который из у то за свой её так от же для "
        "было вы сказать год до только ещё бы себя один как уже когда другой мой если нет где чтобы даже под "
        "потом очень без ничего сам тоже там раз ли здесь кто через после над больше",
        "дом сад улица вода окно мать брат школа телега мост небо вечер утро друг работа церковь король крестьянин "
        "мельник корабль порт гора лес поле камень дерево письмо голос сердце свет тень",
        "а ы ом ами ный ная ик ка ость ник арь ский",
    ),
    "tr": (
        "ve bir bu da için de ile çok olarak gibi daha o ne var olan en kadar sonra ama her ki mi ya onun değil "
        "diye ise ben şey hiç göre bile sadece yok biz önce ancak içinde kendi nasıl çünkü zaman iki bütün artık "
        "olduğu oldu şimdi hem böyle biraz neden hangi başka yine işte",
        "ev bahçe sokak su pencere anne kardeş okul araba köprü gök akşam sabah arkadaş kilise kral köylü değirmenci "
        "gemi liman dağ orman tarla taş ağaç mektup ses yürek ışık gölge",
        "ler lar de den lik siz li ci cik in im imiz",
    ),
}


def vocabularies() -> dict[str, list[str]]:
    """Language -> its words, most frequent first, none twice. English comes first."""
    ended = [stem + a for a, stem in product(AFTER, dict.fromkeys(STEMS))]
    syllables = [o + r for o, r in product(ONSETS, RIMES)]
    named = [a + b for a, b in product(syllables, syllables) if a != b]
    out = {"en": _unique([*ENGLISH, *STEMS, *_spread(ended), *_spread(named)])[:SIZE]}
    for language, (frequent, stems, endings) in OTHERS.items():
        stem = stems.split()
        tail = [a + b for b, a in product(stem, stem) if a != b]
        ended = [s + e for e, s in product(endings.split(), stem)]
        out[language] = _unique([*frequent.split(), *stem, *_spread(ended), *_spread(tail)])
    return out


def _spread(words: list[str]) -> list[str]:
    """In an order in which neighbours differ: a fixed stride, prime to the count."""
    count = len(words)
    stride = next(s for s in range(7919, 8100) if _gcd(s, count) == 1)
    return [words[i * stride % count] for i in range(count)]


def _gcd(a: int, b: int) -> int:
    while b:
        a, b = b, a % b
    return a


def _unique(words: list[str]) -> list[str]:
    return list(dict.fromkeys(words))
