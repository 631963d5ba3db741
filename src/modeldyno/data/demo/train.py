"""Trains a recogniser of handwritten digits and writes it, with sample requests, into the directory it is given.

The data set is scikit-learn's copy of "Optical Recognition of Handwritten Digits" (UCI, test set: 1,797 images, 8 x 8).
"""

# mypy: ignore-errors
import sys
from pathlib import Path

import joblib
import sklearn
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

SAMPLES = 50

out = Path(sys.argv[1])
(out / "model").mkdir(parents=True, exist_ok=True)
(out / "payload").mkdir(exist_ok=True)

images, digits = load_digits(return_X_y=True)
known, unseen, known_digits, unseen_digits = train_test_split(images, digits, test_size=0.25, random_state=0)
model = RandomForestClassifier(n_estimators=100, random_state=0).fit(known, known_digits)
joblib.dump(model, out / "model" / "model.joblib")
for number, image in enumerate(unseen[:SAMPLES]):
    row = ",".join(f"{pixel:g}" for pixel in image)
    (out / "payload" / f"digit-{number:02d}.csv").write_text(row + "\n")

accuracy = model.score(unseen, unseen_digits)
learnt = f"{len(known)} images learnt, {accuracy:.1%} of {len(unseen)} unseen ones right"
print(f"scikit-learn {sklearn.__version__}: {learnt}")  # noqa: T201 - a script for people
