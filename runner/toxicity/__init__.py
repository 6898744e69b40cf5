"""Abusive language in texts: a list of words, and detoxify's classifier. Filter and judge `toxicity` both ask here.

`options` is what a recipe may say of either. What a moderation endpoint says is read by `runner.privacy.moderation`.
"""

from __future__ import annotations

from runner.toxicity.classifier import MODELS, classified
from runner.toxicity.words import GRADES, SHOWN, Grade, Lists, WordList, listed

__all__ = ["GRADES", "MODELS", "SHOWN", "Grade", "Lists", "WordList", "classified", "listed"]
