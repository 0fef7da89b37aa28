//! Scores a job from its evidence: the formula, its signals and the similarity behind them.
