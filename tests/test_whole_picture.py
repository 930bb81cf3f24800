"The four parts, and the checkers of the last chapter's exercises"
import pytest, torch
import torch.nn.functional as F
from torch import nn
from answers import answer_tests
from ddl_lesson8.book import checks_whole_picture as checks
from ddl_lesson8.whole_picture import FourParts, Inputs


def test_four_parts():
    model = FourParts(Inputs([4, 5], 3), nn.Linear(8, 1), torch.sigmoid)
    out = model(torch.tensor([[0, 1], [3, 4]]), torch.ones(2, 2))
    assert out.shape == (2, 1) and len(list(model.parameters())) == 4


def test_inputs_put_rows_and_numbers_beside_each_other():
    inputs, ids, numbers = Inputs([4, 5], 3), torch.tensor([[0, 1], [3, 4]]), torch.tensor([[7.], [8.]])
    out = inputs(ids, numbers)
    first, second = (t.weight for t in inputs.tables)
    assert torch.equal(out, torch.cat([first[ids[:, 0]], second[ids[:, 1]], numbers], 1)) and torch.equal(inputs(ids), out[:, :6])
    with pytest.raises(IndexError, match='outside 0..3'): inputs(torch.tensor([[4, 0]]))


def step(sign=-1, forget=True, scale=1.):
    def my_step(model, loss, x, wanted, lr):
        loss(model(x), wanted).backward()
        with torch.no_grad():
            for p in model.parameters():
                p += sign * scale * lr * p.grad
                if forget: p.grad = None
    return my_step


def replaced(model, loss, x, wanted, lr):
    loss(model(x), wanted).backward()
    model.weight = nn.Parameter(model.weight.detach() - lr * model.weight.grad)


RIGHT = [(lambda s, f, m: len(s) * f + m, 'width'), (step(), 'step'), (lambda x, a, b: a + (b - a) * x.sigmoid(), 'score_range'), (lambda y: y.var(correction=0), 'best_constant'),
         (lambda y: F.mse_loss(y.mean().expand(len(y)), y), 'best_constant')]
WRONG = [
    (lambda s, f, m: sum(s) + m, 'width', 'one-hot'), (lambda s, f, m: len(s) * f, 'width', 'stand beside'), (lambda s, f, m: f + m, 'width', 'make a row of'),
    (step(+1), 'step', 'uphill'), (step(forget=False), 'step', 'still there'), (step(scale=2), 'step', 'minus lr times'), (replaced, 'step', 'in place'), (lambda *a: [].sort(), 'step', 'nothing has moved'),
    (lambda x, a, b: x.sigmoid(), 'score_range', 'in the middle'), (lambda x, a, b: a + (b - a) * x.clamp(0, 1), 'score_range', 'in the middle'), (lambda x, a, b: 3 + x, 'score_range', 'outside'),
    (lambda x, a, b: 1 + 4 * x.sigmoid(), 'score_range', '0 to 5.5'), (lambda x, a, b: b - (b - a) * x.sigmoid(), 'score_range', 'larger answer'), (lambda x, a, b: x.mean(), 'score_range', 'for each input'),
    (lambda y: y.mean(), 'best_constant', 'mean itself'), (lambda y: y.var(), 'best_constant', 'n - 1'), (lambda y: y.std(), 'best_constant', 'root'), (lambda y: (y - y.mean()).mean(), 'best_constant', 'cancel'),
    (lambda y: (y - y.mean()).abs().mean(), 'best_constant', 'on average')]


test_right_answers_pass, test_wrong_answers_get_a_hint = answer_tests(checks, RIGHT, WRONG, prefix='check_')
