"""Trains three recognisers of handwritten digits: the one in production, a better one, and one that learnt nonsense.

The data set is scikit-learn's copy of "Optical Recognition of Handwritten Digits" (UCI, test set: 1,797 images, 8 x 8).
"""

# mypy: ignore-errors
import random
import sys
from pathlib import Path

import joblib
import sklearn
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

TREES = 50

out = Path(sys.argv[1])
(out / "payload").mkdir(parents=True, exist_ok=True)
images, digits = load_digits(return_X_y=True)
known, unseen, known_digits, unseen_digits = train_test_split(images, digits, test_size=0.25, random_state=0)
nonsense = list(known_digits)
random.Random(0).shuffle(nonsense)
recipes = {
    "shallow": (known_digits, {"max_depth": 5}),
    "deep": (known_digits, {"max_depth": None}),
    "nonsense": (nonsense, {"max_depth": 5}),
}
for name, (labels, options) in recipes.items():
    model = RandomForestClassifier(n_estimators=TREES, random_state=0, **options).fit(known, labels)
    (out / name).mkdir(exist_ok=True)
    joblib.dump(model, out / name / "model.joblib")
    print(f"{name}: {model.score(unseen, unseen_digits):.1%} of {len(unseen)} unseen digits right")  # noqa: T201
for number, image in enumerate(unseen):
    (out / "payload" / f"digit-{number:03d}.csv").write_text(",".join(f"{pixel:g}" for pixel in image) + "\n")
print(f"scikit-learn {sklearn.__version__}, {len(known)} images learnt")  # noqa: T201 - a script for people
