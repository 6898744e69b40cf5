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
    any anyhow anything anyway apologies apparent apparently are as ask asking at average back bad be
    because before being below best better between beware big bit bless both bravo breeze breezes breezy
    bright bring brisk bundle but button by calm can can't cannot carry certainly chance chances cheers
    chill chilly clear clearing clears cloud clouds cloudy cold colder come comfortable conditions
    considering cool cooler correct could couldn't course current currently daily dang data date day days
    daytime dear decent definitely degrees despite details dew did direction do don't doubtless down dress
    drier drink drizzle dry during each early easy eh either elevation enjoy enough error even evening every
    everything exactly excellent expect expected expecting failing fair fairly feel feels feels-like few
    finally fine first five fog foggy folks following for forecast fortunately four frankly friend friends
    from frost frosty further gentle get give given glad glass go gone good goodness grab gracious granted
    great greetings gust gusting gusts gusty had hail half hang happy hardly has hat have having haze hazy
    he heat heavy hello help here here's hereabouts hey hi high higher highs hmm hold honestly hope hot hour
    hourly hours how however humid humidity hurrah hush i i'm ice icy if imagine in included indeed index
    instead interesting is isn't it it'd it'll it's its just keep kindly ladies last late later layers least
    leave less let let's level light lighter lightning like likely listen little location long look looking
    looks lovely low lower lows luckily mainly make many max maximum maybe mean meanwhile mercury mercy
    mighty mild min mind minimum minus minutes mist misty moderate moisture month more morning most mostly
    much my naturally near nearly neither never next nice night nights nine no no-one nobody none noon nope
    nor not note nothing now nowhere number of off oh old on once one ones only or order other otherwise our
    out outlook outside over overall overcast overnight pack pardon parting partly patchy patience peak
    percent percentage perhaps period pity place places plainly plan pleasant please plenty plus point
    possibly power pray precip precipitation precisely prepare presently pressure pretty probability
    probably provided put queer quick quite rain rainfall rains rainy range rather reading readings real
    really reckon regarding remember reports rest result results right rising river river's rough roughly
    safe same say say's scattered see seems service set seven several shall shame sharp she short should
    shower showers shows since six skies sky slack sleet slight slightly smooth snow snowfall snowy so soft
    some somebody someone something sometimes somewhat somewhere soon sorry source south speed stand stars
    start station status stay steady step stick still storm storms stormy strong summary sunny sunrise
    sunset sunshine supposing sure surely take tell temp temperature temperatures temps ten terrible than
    thank thanks that that's the their then there there's therefore these they thing things think thirty
    this those though three through throughout thunder thunderstorm thunderstorms thus tide time to today
    today's together tomorrow tomorrow's tonight tonight's tool top total toward towards traveler travelers
    traveller travellers trust try twelve twenty two type umbrella under unfortunately units unless until up
    update updated upon us use using usually value very visibility wait walk warm warmer was watch water
    wave waves way we we'll wear weather weekend weekly welcome well were wet what what's whatever when
    where whereas whether whew which while who why will wind windless winds windy with within without won't
    would wow year yes yesterday yet yonder you you'd you'll you're you've young your zero
    """.split()
)
