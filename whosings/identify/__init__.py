"""From sound to an answer: the ladder, the votes, the identifier."""
