"Planted ratings and two trained learners, as fixtures: a module of tests that imports them has its own"
import pytest
from ddl_lesson8.collab import collab_learner
from ddl_lesson8.data.ratings import planted_ratings


@pytest.fixture(scope='module')
def ratings(): return planted_ratings(seed=0, n_users=60).ratings


@pytest.fixture(scope='module')
def learn(ratings):
    found = collab_learner(ratings, n_factors=8, device='cpu', progress=False)
    found.fit_one_cycle(3)
    return found


@pytest.fixture(scope='module')
def combined(ratings):
    found = collab_learner(ratings, n_factors=8, metadata=True, device='cpu', progress=False)
    found.fit_one_cycle(3)
    return found
