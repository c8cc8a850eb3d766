"""Results of a simulated model, to try pkpo on: JSON Lines of problem, sample_index, text, passed.

The solve rates of the problems are Beta(0.4, 1.2): many problems are hard, a few are easy, as in real benchmarks. A
checkpoint trained longer is the same model with the odds of its rates multiplied.

    python3 examples/simulate.py --problems 100 --n 16 > results.jsonl
"""

import argparse
import json
import random


def main() -> None:
    """Print the completions of one checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=100, help="problems of the set (100)")
    parser.add_argument("--n", type=int, default=16, help="completions per problem (16)")
    parser.add_argument("--skill", type=float, default=1.0, help="multiplies the odds of passing (1)")
    parser.add_argument("--seed", type=int, default=0, help="of what each problem and each completion is (0)")
    arguments = parser.parse_args()
    difficulty, luck = random.Random(arguments.seed), random.Random(arguments.seed + 1)
    for problem in range(arguments.problems):
        odds = arguments.skill * difficulty.gammavariate(0.4, 1) / difficulty.gammavariate(1.2, 1)
        for index in range(arguments.n):
            passed = luck.random() < odds / (1 + odds)
            text = f"The answer is {problem + 1 if passed else luck.randrange(1000)}."
            row = {"problem": f"sum/{problem}", "sample_index": index, "text": text, "passed": passed}
            print(json.dumps(row))


if __name__ == "__main__":
    main()
