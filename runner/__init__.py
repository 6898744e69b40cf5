"""mirepoix: one YAML recipe from text sources to a judged adapter. See docs/architecture.md."""
