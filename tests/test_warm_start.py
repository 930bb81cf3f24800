"A trained recommender that takes in more: old rows stay, new ones are the newcomer's estimate, the optimiser goes on"
import copy, random, sys
from dataclasses import replace
from pathlib import Path
import pytest, torch
from ddl_lesson8 import warm_start
from ddl_lesson8.collab import collab_learner
from ddl_lesson8.data.ratings import Ratings, planted_ratings
from ddl_lesson8.train.learner import _state, load_learner

KINDS = {'dot': {}, 'combined': dict(metadata=True), 'network': dict(use_nn=True), 'softmax': dict(loss='softmax'), 'sizes': dict(use_nn=True, emb_szs=[(70, 5), (170, 6)])}
MORE = [('me', 'Heat', 5), ('me', 'Jaws', 1), ('you', 'Alien', 4), ('me', 'My film', 2), ('person 1', 'My film', 5), ('person 2', 'My film', 1), ('you', 'Your film', 3), ('person 3', 'Heat', 4)]

def rows(more=MORE): return [dict(user=u, item=i, rating=r) for u, i, r in more]

@pytest.fixture(scope='module')
def ratings(): return planted_ratings(seed=0, n_users=60).ratings

def trained(ratings, kind, **kwargs):
    learn = collab_learner(ratings, n_factors=4, device='cpu', progress=False, **KINDS[kind], **kwargs)
    learn.fit_one_cycle(2)
    return learn

@pytest.fixture(params=list(KINDS))
def learn(request, ratings): return trained(ratings, request.param)


def test_old_rows_keep_their_numbers(learn, ratings):
    n_u, n_i = len(learn.users), len(learn.items)
    before, u, i = learn.model.state_dict(), torch.arange(40), torch.arange(40) + 3
    before, said = {k: v.clone() for k, v in before.items()}, learn.outputs((u, i))
    state = {n: {k: v.clone() for k, v in learn.opt.state[p].items() if torch.is_tensor(v)} for n, p in learn.model.named_parameters()}
    assert learn.extend(rows()) is learn
    assert (len(learn.users), len(learn.items)) == (n_u + 2, n_i + 2) and learn.users.items[-2:] == ['me', 'you']
    assert torch.equal(learn.outputs((u, i)), said)
    for name, p in learn.model.named_parameters():
        now = learn.opt.state[p]
        at = slice(None) if p.shape == before[name].shape else slice(0, n_u if name.startswith(('u_', 'dot.u_', 'embeds.0')) else n_i)
        assert torch.equal(p.detach()[at], before[name][at])
        for k, v in state[name].items():
            if v.shape == before[name].shape: assert torch.equal(now[k][at], v[at])
            if v.shape == before[name].shape and p.shape != v.shape: assert not now[k][at.stop:at.stop + 2].any()
    assert {id(p) for g in learn.opt.param_groups for p in g['params']} == {id(p) for p in learn.model.parameters()} >= {id(p) for p in learn.opt.state}

def test_training_goes_on_and_files_load_again(learn, tmp_path):
    n = len(learn.data.train[0])
    learn.extend(rows())
    assert len(learn.data.train[0]) == n + len(MORE)
    learn.fit_one_cycle(1)
    learn.save(tmp_path/'l')
    again = load_learner(tmp_path/'l', device='cpu')
    assert torch.equal(again.predict(None if learn.order else 'me', 'My film'), learn.predict(None if learn.order else 'me', 'My film'))
    assert len(learn.recorder.epochs) == 3 and learn.validate()['loss'] == learn.recorder.epochs[-1]['valid_loss']

@pytest.mark.parametrize('kind', ['dot', 'combined', 'softmax'])
def test_a_new_user_is_the_newcomer(ratings, kind):
    learn = trained(ratings, kind)
    wanted = learn.newcomer([{'Heat': 5, 'Jaws': 1}, {'Alien': 4}])
    learn.extend(rows())
    at = learn.learned('item')[:wanted.shape[1]].nonzero()[:, 0]
    for k, name in enumerate(('me', 'you')): torch.testing.assert_close(learn.predict(name, at), wanted[k, at], atol=1e-4, rtol=1e-4)

@pytest.mark.parametrize('kind', ['dot', 'combined', 'softmax'])
def test_a_new_item_is_the_new_item(ratings, kind):
    learn = trained(ratings, kind)
    wanted = learn.new_item([{'person 1': 5, 'person 2': 1}, {}])
    learn.extend(rows())
    for k, name in enumerate(('My film', 'Your film')): torch.testing.assert_close(learn.predict(torch.arange(60), name), wanted[k], atol=1e-4, rtol=1e-4)

def test_facts_come_along(ratings):
    learn = trained(ratings, 'combined')
    wanted = learn.newcomer({'Heat': 5, 'age': 30, 'occupation': ratings.user_table['occupation'][0]})
    table = {'age': [30], 'occupation': [ratings.user_table['occupation'][0]]}
    learn.extend(Ratings(torch.tensor([0]), torch.tensor([0]), torch.tensor([5.]), ['me'], ['Heat'], user_table=table))
    at = learn.learned('item').nonzero()[:, 0]
    torch.testing.assert_close(learn.predict('me', at), wanted[at], atol=1e-4, rtol=1e-4)
    assert learn.ratings.user_table['age'][-1] == 30 and len(learn.ratings.user_table['age']) == 61

def test_only_known_names_change_no_number(learn):
    before = {k: v.clone() for k, v in learn.model.state_dict().items()}
    learn.extend(rows([('person 1', 'Heat', 3)]))
    assert all(torch.equal(v, before[k]) for k, v in learn.model.state_dict().items())

def test_a_loaded_learner_remembers_what_was_seen(ratings, tmp_path):
    learn = trained(ratings, 'dot', valid=0)
    learn.save(tmp_path/'l')
    with pytest.warns(UserWarning, match='the 8 new ones only') as said: loaded = load_learner(tmp_path/'l', device='cpu').extend(rows())
    assert said[0].filename == __file__
    both = learn.extend(rows())
    for name in ('starts', 'items', 'trained', 'user', 'item'): assert torch.equal(getattr(loaded.memory, name), getattr(both.memory, name)), name
    assert loaded.memory.mean == pytest.approx(both.memory.mean) and loaded.memory.low == both.memory.low
    assert loaded.recommend('person 1') == both.recommend('person 1') and len(loaded.data.train[0]) == len(MORE)
    loaded.fit(1)

@pytest.mark.filterwarnings('error')
def test_a_learner_loaded_with_its_ratings_trains_on_all(ratings, tmp_path):
    learn = trained(ratings, 'dot', valid=0)
    loaded = load_learner(learn.save(tmp_path/'l'), data=learn.ratings, device='cpu').extend(rows(MORE[:-1])) # the last pair is there already, which is told
    assert len(loaded.data.train[0]) == len(learn.ratings) + len(MORE) - 1

@pytest.mark.parametrize('frame', ['pandas', 'polars', 'pyarrow'])
def test_any_table_of_ratings_will_do(ratings, frame):
    pytest.importorskip(frame)
    from ddl_lesson8.data.tables import to_frame
    learn = trained(ratings, 'dot').extend(to_frame({k: [r[k] for r in rows()] for k in ('user', 'item', 'rating')}, frame))
    assert learn.users.items[-1] == 'you'

@pytest.mark.parametrize('bad, words', [([('me', 'Heat', 50)], 'wider y_range'), ([('me', 'Heat', float('nan'))], None), ([], None)])
def test_what_is_refused_changes_nothing(ratings, bad, words):
    learn = trained(ratings, 'dot')
    before, n = {k: v.clone() for k, v in learn.model.state_dict().items()}, len(learn.users)
    with pytest.raises((ValueError, TypeError), match=words): learn.extend(rows(bad))
    assert len(learn.users) == n and all(torch.equal(v, before[k]) for k, v in learn.model.state_dict().items())

def test_several_new_at_once_are_each_as_alone(ratings):
    learn = trained(ratings, 'combined')
    many = [{'Heat': 5}, {'age': 30}, {}]
    assert torch.equal(learn.newcomer(many), torch.stack([learn.newcomer(m) for m in many]))
    items = [{'person 1': 5}, dict(year=1990), {'person 2': 1, 'genre': 'Western'}]
    assert torch.equal(learn.new_item(items), torch.stack([learn.new_item(m) for m in items]))
    assert learn.new_item({'person 1': 5}).mean() > learn.new_item({'person 1': 1}).mean()
    with pytest.raises(ValueError, match='no new user'): learn.newcomer([])


# ---- interrupts

def snapshot(learn): # all that can be used afterwards; one extended learner equals another
    values = dict(state=_state(learn), users=list(learn.users.items), items=list(learn.items.items), model=[len(learn.model.users), len(learn.model.items)], config=learn.config, plan=learn.plan,
                  memory={k: v for k, v in vars(learn.memory).items()}, rows=[t.clone() for t in learn.data.train], ratings=[len(learn.ratings), len(learn.ratings.users), len(learn.held_out.items)],
                  sizes=[m.num_embeddings for m in learn.model.modules() if isinstance(m, torch.nn.Embedding)], said=learn.outputs((torch.arange(30), torch.arange(30))))
    return copy.deepcopy(values)

def interrupted(learn, at): # Ctrl-C at that line of `extend` and what it calls; False where it ends before
    count, ours = [0], str(Path(warm_start.__file__).parent)
    def watch(frame, event, arg):
        if not frame.f_code.co_filename.startswith(ours): return None
        if event == 'line':
            count[0] += 1
            if count[0] == at: sys.settrace(None); raise KeyboardInterrupt
        return watch
    try:
        sys.settrace(watch)
        learn.extend(rows())
    except KeyboardInterrupt: return True
    finally:
        sys.settrace(None)
        torch.set_grad_enabled(True) # a line trace can interrupt a `with torch.no_grad()` just before it ends
    return False

def test_an_interrupt_leaves_the_learner_as_it_was_or_wholly_extended(learn, ratings):
    from ddl_lesson8.train.batches import _same
    before, whole = snapshot(learn), copy.deepcopy(learn).extend(rows())
    after, rng, seen, at = snapshot(whole), random.Random(0), [0, 0], 1
    while True:
        tried = copy.deepcopy(learn)
        if not interrupted(tried, at): break
        now = snapshot(tried)
        which = [_same(now, before), _same(now, after)]
        assert sum(which) == 1, at
        seen[which[1]] += 1
        if which[0] and rng.random() < .1:
            tried.extend(rows()) # and once more, undisturbed
            assert _same(snapshot(tried), after)
        at += rng.randrange(1, 60)
    assert at > 100 and seen[0] > 5

@pytest.mark.parametrize('name', ['_grow', '_grow_side', '_join_ratings', '_longer', 'Vocab', 'Ratings'])
@pytest.mark.parametrize('error', [MemoryError, RuntimeError, KeyboardInterrupt])
def test_an_error_anywhere_leaves_the_learner_as_it_was(ratings, name, error, monkeypatch):
    from ddl_lesson8.train.batches import _same
    learn = trained(ratings, 'combined')
    before = snapshot(learn)
    real, left = getattr(warm_start, name), [random.Random(name).randrange(2 if name == '_grow_side' else 1)]
    def fails(*args, **kwargs):
        if not left[0]: raise error
        left[0] -= 1
        return real(*args, **kwargs)
    monkeypatch.setattr(warm_start, name, fails)
    with pytest.raises(error): learn.extend(rows())
    monkeypatch.undo()
    assert _same(snapshot(learn), before)
    learn.fit(1)
    assert _same(snapshot(trained(ratings, 'combined').extend(rows()))['users'], snapshot(learn.extend(rows()))['users'])

def test_a_training_that_was_interrupted_is_extended_without_its_half_batch(ratings):
    learn = trained(ratings, 'network')
    def stop(l): raise KeyboardInterrupt
    learn.calls['before_batch'] = [lambda l: stop(l) if l.plan.done == 1 else None]
    with pytest.raises(KeyboardInterrupt): learn.fit(1)
    learn.calls.clear()
    learn.extend(rows())
    assert learn.plan is None
    with pytest.raises(RuntimeError, match='no plan'): learn.resume()
    learn.fit(1)
    learn.changes.stepping, learn.plan = True, trained(ratings, 'network').plan
    n = len(learn.users)
    with pytest.raises(RuntimeError, match='middle of an update'): learn.extend(rows([('x', 'Heat', 3)]))
    assert len(learn.users) == n


def test_pairs_that_come_again_are_told(ratings): # both rows are trained on; one that was held back is no check any more
    learn = trained(ratings, 'dot')
    held = learn.held_out
    pair = held.users[held.user[0]], held.items[held.item[0]]
    with pytest.warns(UserWarning, match='2 of the 3 new ratings are of pairs that were rated before') as said:
        learn.extend(rows([(*pair, 3), (learn.ratings.users[learn.ratings.user[0]], learn.ratings.items[learn.ratings.item[0]], 3), ('me', pair[1], 3)]))
    assert said[0].filename == __file__
