/*
 * The six scripts: claim, commit, fail, reject, seed; peek is `follow` alone. Each is one step.
 */

inline need_gate(lost_) {
  if
  :: S.epoch == 0 -> epochs++; S.epoch = epochs; S.lost = lost_; S.quarantine = LEASE
  :: else
  fi
}

inline need_gate_of(epoch_) {
  need_gate((epoch_) != 0);
  if
  :: (epoch_) != 0 && (epoch_) != S.epoch && S.quarantine > 0 -> S.lost = 1
  :: else
  fi
}

inline end_lease(nonce_) {
#ifdef BUG_NO_OWNER
  S.lease_nonce = 0; S.lease_fence = 0; S.lease_left = 0;
#else
  if
  :: S.lease_nonce == (nonce_) -> S.lease_nonce = 0; S.lease_fence = 0; S.lease_left = 0
  :: else
  fi;
#endif
  if
  :: true_lease == (nonce_) -> true_lease_left = 0; true_lease = 0; true_lease_token = 0
  :: else
  fi
}

inline charge(fence_, left_) {
  S.grant2 = S.grant; S.grant2_left = S.grant_left; S.grant = fence_; S.grant_left = left_
}

inline do_claim(nonce_, known_, fence_, epoch_) {
  need_gate_of(epoch_);
  RAISE(S.fence, fence_); RAISE(S.fence, known_);
  if
#ifndef BUG_NO_NONCE
  :: S.lease_left > 0 && S.lease_nonce == (nonce_) -> outcome = GRANTED
#endif
#ifndef BUG_NO_ADOPTION
  :: !(S.lease_left > 0 && S.lease_nonce == (nonce_)) && S.token_fence > (known_) && S.token_id != S.reported -> outcome = ADOPT
#endif
  :: else ->
    if
    :: S.lease_left > 0 -> outcome = HELD
#ifndef BUG_NO_QUARANTINE
    :: S.lease_left == 0 && S.lost && S.quarantine > 0 -> outcome = HELD
#endif
    :: else ->
      if
      :: S.pause_left > 0 -> outcome = COOLING_DOWN
      :: S.pause_left == 0 && S.grant2_left > 0 -> outcome = OVER_BUDGET
      :: else -> outcome = GRANTED; do_grant(nonce_, known_, epoch_)
      fi
    fi
  fi
}

inline do_grant(nonce_, known_, epoch_) {
  clock = clock + 2;
  S.fence++; RAISE(S.fence, clock);
#ifndef BUG_SHARED_FENCES
  S.fence = EVEN_FROM(S.fence);
#endif
  S.lease_nonce = nonce_; S.lease_fence = S.fence; S.lease_left = LEASE;
#ifndef BUG_CHARGE_AFTER
  charge(S.fence, WINDOW);
#endif
  /* Exceptions: a new replica at a store that lost its data, and a lease that a failover lost. */
  HOLD(ONE_LEASE, true_lease_left == 0 || lost_lease || ((epoch_) == 0 && epochs > 1));
  HOLD(LEASE_IN_COOLDOWN, true_cooldown == 0);
  HOLD(NEEDLESS_CALL, !(S.token_fence > (known_) && S.token_id != S.reported));
  true_permit2 = true_permit; true_permit = WINDOW;
  true_lease = nonce_; true_lease_left = LEASE; true_lease_age = 0; true_lease_token = 0; lost_lease = 0
}

inline do_commit(nonce_, fence_, id_) {
  need_gate(1);
#ifdef BUG_LOST_GRANT_ENDS_FACTS
  chosen = 1;
#else
  chosen = ((fence_) <= S.fence);                              /* the gate has this grant: its facts are ordered with it */
#endif
  RAISE(S.fence, fence_);
#ifdef BUG_CHARGE_AFTER
  if :: S.lease_nonce == (nonce_) -> charge(fence_, S.lease_left + WINDOW - LEASE) :: else fi;
#endif
  end_lease(nonce_);
  if
  :: S.token_fence == (fence_) && S.token_id == (id_) -> outcome = STORED
#ifndef BUG_NO_FENCE
  :: S.token_fence >= (fence_) && !(S.token_fence == (fence_) && S.token_id == (id_)) -> outcome = OLDER
#endif
  :: else ->
    HOLD(STORED_OLDER, S.token_fence <= (fence_));
    outcome = STORED; S.token_fence = fence_; S.token_id = id_;
    if
    :: chosen ->
      if
      :: S.pause_fence < (fence_) -> end_pause(S)
      :: else
      fi;
      prove(S, fence_, id_)
    :: else -> forget_others(S, id_)
    fi
  fi
}

inline do_fail(nonce_, fence_, kind_) {
  need_gate(1);
  RAISE(S.fence, fence_);
  if
  :: S.failed_nonce == (nonce_)
  :: else ->
    chosen = (S.lease_left > 0 && S.lease_nonce == (nonce_));
#ifdef BUG_CHARGE_AFTER
    if :: S.lease_nonce == (nonce_) && (kind_) != 0 -> charge(fence_, S.lease_left + WINDOW - LEASE) :: else fi;
#endif
    end_lease(nonce_);
    S.failed_nonce = nonce_;
    if
    :: (kind_) == 0
    :: (kind_) == FAILED && !chosen && S.token_fence > (fence_)         /* a newer token has ended it */
    :: else ->
      length = ((kind_) == THROTTLED -> COOLDOWN : BACKOFF);
#ifdef BUG_PAUSE_BY_CLOCK
      merge_pause(S, kind_, length, clock);
#else
      merge_pause(S, kind_, length, S.fence);
#endif
      if :: (kind_) == THROTTLED -> RAISE(true_cooldown, COOLDOWN) :: else fi
    fi
  fi
}

inline do_reject(id_) {
  if
  :: S.token_fence == 0 || S.token_id != (id_) -> outcome = LATE
  :: else ->
    need_gate(1);
    if
    :: S.confirmed == (id_) -> outcome = CONFIRMED
    :: else ->
      outcome = CURRENT;
      if
      :: S.reported != (id_) -> S.reported = id_; S.reported_fence = S.fence; true_reports = true_reports | BIT(id_)
      :: else
      fi
    fi
  fi
}

/* m: the memory of a replica. */
inline do_seed(m) {
  need_gate_of(m.epoch);
  RAISE(S.fence, m.fence); RAISE(S.fence, m.held_fence);
  if
  :: m.held_fence > S.token_fence ->
    S.token_fence = m.held_fence; S.token_id = m.held_id;
#ifdef BUG_SEEDED_TOKEN_ENDS_FACTS
    if
    :: S.pause_fence < m.held_fence -> end_pause(S)
    :: else
    fi;
    prove(S, m.held_fence, m.held_id)
#else
    forget_others(S, m.held_id)
#endif
  :: else
  fi;
  if
  :: S.lease_left > 0 && S.lease_fence == m.held_fence -> S.lease_nonce = 0; S.lease_fence = 0; S.lease_left = 0
  :: else
  fi;
  if                                                          /* the lease has really ended too: this is its token */
  :: true_lease_token != 0 && true_lease_token == m.held_id -> true_lease_left = 0; true_lease = 0; true_lease_token = 0
  :: else
  fi;
  if
#ifndef BUG_SEEDED_429_IS_HISTORY
  :: m.pause_kind == THROTTLED && m.pause_left > 0 ->
#ifdef BUG_SEEDED_429_KEEPS_FENCE
    merge_pause(S, THROTTLED, m.pause_left, m.pause_fence);
#else
    merge_pause(S, THROTTLED, m.pause_left, S.fence);
#endif
    RAISE(true_cooldown, m.pause_left)
  :: m.pause_kind == FAILED && S.token_fence <= m.pause_fence -> merge_pause(S, FAILED, m.pause_left, m.pause_fence)
#else
  :: S.token_fence <= m.pause_fence -> merge_pause(S, m.pause_kind, m.pause_left, S.fence)
#endif
  :: else
  fi;
#ifdef BUG_GRANTS_BY_LENGTH
  if
  :: (m.grant_left > 0) + (m.grant2_left > 0) > (S.grant_left > 0) + (S.grant2_left > 0) ->
    S.grant = m.grant; S.grant_left = m.grant_left; S.grant2 = m.grant2; S.grant2_left = m.grant2_left
  :: else
  fi;
#else
  merge_grant(m.grant, m.grant_left); merge_grant(m.grant2, m.grant2_left);
#endif
  HOLD(PERMIT_LOST, S.grant_left >= true_permit && S.grant2_left >= true_permit2);
  if
  :: m.confirmed != 0 && m.confirmed == S.token_id -> S.confirmed = S.token_id; RAISE(S.confirmed_fence, m.confirmed_fence); settle(S)
  :: else
  fi;
  if
  :: m.reported == 0 || m.reported != S.token_id || (S.confirmed == m.reported && S.confirmed_fence > m.reported_fence)
  :: m.reported != 0 && m.reported == S.reported -> RAISE(S.reported_fence, m.reported_fence)
  :: else ->
#ifdef BUG_SEEDED_REPORT_KEEPS_FENCE
    S.reported_fence = m.reported_fence;
#else
    S.reported_fence = S.fence;
#endif
    S.reported = m.reported; end_confirmation(S);
    true_reports = true_reports | BIT(S.reported)
  fi
}
