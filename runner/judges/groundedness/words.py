"""Words that are written with a capital and name nothing and nobody."""

from __future__ import annotations

from runner.judges.groundedness.times import MONTHS, WEEKDAYS

# The calendar, units, directions, exclamations, and the weather's own persons.
FREE = frozenset(
    """
    i i'm i'll i'd i've am pm a.m p.m ok okay celsius fahrenheit kelvin centigrade beaufort uv utc gmt bst
    cet est edt cst cdt mst mdt pst pdt n s e w ne nw se sw nne nnw sse ssw ene ese wnw wsw north south east
    west northern southern eastern western northeast northwest southeast southwest mon tue tues wed thu thur
    thurs fri sat sun jan feb mar apr jun jul aug sep sept oct nov dec lord god heaven heavens jove sir
    madam ma'am mother nature old man winter jack frost sol mr mrs ms dr c f k mph kph km mm cm hpa mb aqi
    faq asap ps p.s english internet earth sun moon christmas easter spring summer autumn fall monsieur aye
    """.split()
    + MONTHS
    + WEEKDAYS
    + [day + "s" for day in WEEKDAYS]
)
# What sentences and lines of a forecast begin with. Words that stand in small letters anywhere near are added to them.
COMMON = frozenset(
    """
    a about above according afternoon afternoons ah aha alas all almost also although always an and another
    any anybody anyhow anyone anything anyway apologies apparent apparently are as ask asking at author
    average back bad barometer be because before being below best better between beware big birds bit bits
    bless boats book books boots both branch bravo breeze breezes breezy bright bring brisk bundle but
    button by calm can can't cannot captains carry catfish cats certainly chance chances cheers children
    chill chilly cities city clear clearing clears cloud clouds cloudy coats cold cold's colder come
    comfortable commuters conditions considering cool cooler copies copy correct could couldn't country
    course cows crops current currently cyclists daily dang data date day days daytime dear decent
    definitely degrees despite details dew did direction do dogs don't doors doubtless down dozens dress
    drier drink drivers drizzle dry ducks due during each early easy eh either elevation enjoy enough error
    even evening every everyone everything exactly excellent expect expected expecting facts failing fair
    fairly farmers feel feels feels-like ferries few fields figures finally fine fines first fish five
    flights flowers fog foggy folks following for forecast fortunately fortune four frankly friend friends
    frogs from frost frosty further gardeners gardens gauge gauges gentle gentlemen get give given glad
    glass gloves go gone good goodness grab gracious granted great greetings gulls gust gusting gusts gusty
    had hail half hang happy hardly has hat have having haze hazy he heaps heat heat's heavy hello help here
    here's hereabouts hey hi high higher highs hikers hmm hold home honestly hope horses hot hour hourly
    hours how however humid humidity hundreds hurrah hush i i'm ice icy if imagine in included indeed index
    instead interesting is isn't it it'd it'll it's its jackets just keep kids kindly ladies lake land last
    late later layers least leave less let let's level librarian library life light lighter lightning like
    likely listen little loan loans locals location long look looking looks lots love lovely low lower lows
    luck luckily mainly make many max maximum maybe mean meanwhile men mercury mercy mighty mild min mind
    minimum minus minutes mist misty mittens moderate moisture money month more morning most mostly mountain
    much mules my naturally near nearly needle neither never news next nice night nights nine no no-one
    nobody none noon nope nor not note nothing nothing's now nowhere number numbers ocean of off oh old on
    once one ones only or order other otherwise our out outlook outside over overall overcast overnight pack
    page pages pardon parting partly patchy patience peak people percent percentage perhaps period pilots
    pity place places plainly plan pleasant please plenty plus point possibly power pray precip
    precipitation precisely prepare presently pressure pretty probability probably provided put queer quick
    quite rain rainfall rains rainy range rather reading readings real really reckon regarding remember
    renewals report reports rest result results right rising river river's rivers roads room rough roughly
    runners safe sailors same sandals say say's scattered sea see seems service set seven several shall
    shame sharp she shelf ships shirts short shorts should shower showers shows since six skies sky slack
    sleet slight slightly smooth snow snowfall snowy so soft some somebody someone something sometimes
    somewhat somewhere soon sorry source south speed stand stars start station status stay steady step stick
    still storm storms stormy streets strong summary summer's sunny sunrise sunset sunshine supposing sure
    surely take tell temp temperature temperatures temps ten terrible than thank thanks that that's the
    their then there there's therefore thermometer thermometers these they thing things think thirty this
    those though three through throughout thunder thunderstorm thunderstorms thus tide time to today today's
    together tomorrow tomorrow's tonight tonight's tons tool top total tourists toward towards town towns
    traffic trains travel traveler travelers traveller travellers trees trust truth try twelve twenty two
    type umbrella under unfortunately units unless until up update updated upon us use using usually value
    very visibility visitors wait walk warm warmer was watch water waters wave waves way we we'll wear
    weather weekend weekly welcome well were wet what what's whatever when where whereas whether whew which
    while who why will wind windless winds windy winter's with within without woman women won't word words
    would wow year yes yesterday yet yonder you you'd you'll you're you've young your zero
    meteorologists forecasters experts observers scientists
    """.split()
)
# Of what kind something is, beside a plural: "Persian cats", "Wellington boots".
ATTRIBUTIVE = frozenset(
    """
    african alpine american arabian arctic asian atlantic australian austrian baltic bavarian belgian bermuda bohemian
    brazilian british canadian caribbean celtic chinese cornish cuban danish dutch egyptian english european finnish
    flemish french georgian german greek gothic hawaiian hungarian icelandic indian irish italian jamaican japanese
    korean mediterranean mexican mongolian nordic norwegian panama parisian persian polish portuguese roman russian
    scandinavian scottish shetland siberian spanish swedish swiss texan tibetan turkish tuscan tyrolean venetian
    victorian viking wellington welsh yankee yorkshire
    """.split()
)
