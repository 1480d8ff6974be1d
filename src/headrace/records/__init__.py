"""What is known of ended answers, in SQL: who asked what of which model, how it ended, and what it used."""
