"""Function words: the commonest words of a language, by which running text is told from lists and keywords."""

from __future__ import annotations

# Common in English and rare in its neighbours: no "in", "is", "was", "we", "on", "me".
ENGLISH = frozenset(
    """
    the and of that with this you your what which who how they their there these those have has had
    would could should will can not are were been from for but she him his her its our my when where
    it to be if than then some any out about into
    i i'm i'll i've it's don't that's there's he's she's they're you're we're ain't won't can't what's
    """.split()
)

# Gopher's own eight (Rae et al. 2021, section A.1.1), and as many of other languages in Latin letters.
FREQUENT = frozenset(
    """
    the be to of and that have with
    der und das ist nicht mit von ein zu sie er sich auf den dem ihn war
    le la les et des est une dans que
    el los por para del
    il di che non sono della
    os não uma com em da
    de het een van en niet dat
    och att det som är inte på
    og er til ikke av for
    ja ei se että oli hän mutta kun
    na nie się jest
    je že ne ale
    és az hogy egy nem meg
    și nu este din cu
    bir ve bu da için ile çok
    yang dan di itu dengan untuk tidak
    và của là có không một
    ang ng mga
    je na da su
    """.split()
)
