"Typical calls of the public names, with their types. Nobody runs this: mypy reads it and finds a call that its signature refuses."
from pathlib import Path
import torch
from ddl_lesson8.book.claims import Claim, Ledger, Paired, claim, paired, row
from ddl_lesson8.conv import conv2d, conv_output_size
from ddl_lesson8.data.digits import draw_seven
from ddl_lesson8.data.ratings import planted_ratings
from ddl_lesson8.parameters import create_params


def claims()->Claim:
    effect: Paired = paired([0.1, 0.2], [0.3, 0.4])
    return claim('X1', 'a claim', [row('an effect', effect=effect, unit='MSE', planted=True)], 'holds', check=effect.wins == 2)


def ledger(folder:Path)->dict:
    counts: dict = Ledger(folder).counts
    ids: list = Ledger().ids
    return {**counts, 'ids': ids}


def lesson(x:torch.Tensor, weight:torch.Tensor)->torch.Tensor:
    size: int = conv_output_size(28, 3)
    seven: torch.Tensor = draw_seven(dtype=torch.float64)
    params: torch.nn.Parameter = create_params(size, 2)
    planted_ratings(n_users=50, seed=0)
    return conv2d(x, weight) + seven.sum() + params.sum()
