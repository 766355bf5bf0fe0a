/*
 * What a replica remembers: the token it vends, the store's last word, and what it notes itself.
 */

#define REPORTED(r) (M[r].held_fence != 0 && M[r].held_id == M[r].reported)
#define HIGHEST(r) (M[r].fence > M[r].held_fence -> M[r].fence : M[r].held_fence)

/* The fence beyond which the store's token is shown: the held one's, unless two masters issued one fence twice. */
#define SHOWN_BEYOND(r) (M[r].held_fence - (M[r].held_fence != 0 && M[r].held_fence == M[r].token_fence && M[r].held_id != M[r].token_id -> 1 : 0))

/* -- data that the store lost */

#define GRANT_IS_MISSING(fence_, left_) (left_ > 0 && fence_ != S.grant && fence_ != S.grant2 && left_ > S.grant2_left)
#define PAUSE_IS_SHORTER(r) (M[r].pause_left > S.pause_left && S.token_fence <= M[r].pause_fence)
#define REPORT_IS_MISSING(r) (M[r].reported != 0 && M[r].reported == S.token_id && S.reported != M[r].reported && \
  !(S.confirmed == M[r].reported && S.confirmed_fence > M[r].reported_fence))
#define STORE_LOST_FACTS(r) (M[r].epoch != 0 && (S.epoch != M[r].epoch || S.fence < M[r].fence || PAUSE_IS_SHORTER(r) || REPORT_IS_MISSING(r) || \
  GRANT_IS_MISSING(M[r].grant, M[r].grant_left) || GRANT_IS_MISSING(M[r].grant2, M[r].grant2_left)))
#define HAS_MORE(r) (M[r].unsaved || STORE_LOST_FACTS(r) || (M[r].held_fence != 0 && S.token_fence < M[r].token_fence))

/* -- following the store */

inline take(r, fence_, id_) {
  HOLD(HELD_OLDER, M[r].held_fence <= (fence_));
  M[r].held_fence = fence_; M[r].held_id = id_
}

/* beyond: the fence beyond which the reply shows the token itself. */
inline follow(r, beyond) {
  chosen = (S.token_fence > (beyond) && (M[r].held_fence == 0 || S.token_fence > M[r].held_fence ||
    (S.token_fence == M[r].held_fence && S.token_id != M[r].held_id)));
  if                                                          /* the store has nothing new about the held token */
  :: !chosen && REPORTED(r) && S.token_id != M[r].reported
  :: else -> M[r].reported = S.reported; M[r].reported_fence = S.reported_fence
  fi;
  M[r].epoch = S.epoch; M[r].fence = S.fence; M[r].token_fence = S.token_fence; M[r].token_id = S.token_id;
  M[r].lease_left = S.lease_left;
  M[r].pause_kind = S.pause_kind; M[r].pause_left = S.pause_left; M[r].pause_fence = S.pause_fence;
  M[r].grant = S.grant; M[r].grant_left = S.grant_left; M[r].grant2 = S.grant2; M[r].grant2_left = S.grant2_left;
  M[r].confirmed = S.confirmed; M[r].confirmed_fence = S.confirmed_fence;
  M[r].up = 1;
  if                                                          /* a store that lost a 429 may have granted a call since */
  :: losses + failovers > 0 -> read_cooldown[r] = 0
  :: else
  fi;
  if :: S.pause_kind == THROTTLED -> RAISE(read_cooldown[r], S.pause_left) :: else fi;
  if
  :: chosen -> take(r, S.token_fence, S.token_id)
  :: else
  fi;
  HOLD(REPORT_LOST, M[r].held_fence == 0 || (true_reports & BIT(M[r].held_id)) == 0 || M[r].reported == M[r].held_id)
}

inline seed_and_follow(r) { M[r].unsaved = 0; do_seed(M[r]); follow(r, M[r].held_fence) }

/* -- results that could not be stored */

inline note_success(r) {
  chosen = REPORTED(r);
#ifdef BUG_HELD_TOKEN_CONFIRMED
  if                                                          /* for the held token, whichever call returned it */
  :: REPORTED(r) -> M[r].confirmed = M[r].held_id; M[r].confirmed_fence = M[r].held_fence; end_report(M[r])
  :: else
  fi;
#else
  if
  :: M[r].held_fence == C[r].fence ->
#ifndef BUG_LOCAL_CALL_CONFIRMS
    if
    :: C[r].leased -> prove(M[r], C[r].fence, C[r].answer)
    :: else -> forget_others(M[r], C[r].answer)
    fi
#else
    prove(M[r], C[r].fence, C[r].answer)
#endif
  :: else
  fi;
#endif
  RAISE(M[r].fence, C[r].fence);
  if
#ifdef BUG_LOCAL_CALL_ENDS_PAUSE
  :: !C[r].leased || M[r].pause_fence < C[r].fence -> end_pause(M[r])
#else
  :: C[r].leased && M[r].held_fence == C[r].fence && M[r].pause_fence < C[r].fence -> end_pause(M[r])
#endif
  :: else
  fi;
  HOLD(COOLDOWN_LOST, M[r].pause_left >= read_cooldown[r]);
  HOLD(REPORT_LOST, !chosen || (true_reports & BIT(M[r].held_id)) == 0 || REPORTED(r));
  M[r].unsaved = 1
}

inline note_failure(r) {
  RAISE(M[r].fence, C[r].fence);
  if
  :: C[r].kind == 0
  :: else ->
    length = (C[r].kind == THROTTLED -> COOLDOWN : BACKOFF);
#ifdef BUG_NOTE_SHORTENS_PAUSE
    M[r].pause_kind = C[r].kind; M[r].pause_left = length; M[r].pause_fence = M[r].fence
#else
    merge_pause(M[r], C[r].kind, length, M[r].fence)
#endif
  fi;
  HOLD(COOLDOWN_LOST, M[r].pause_left >= read_cooldown[r]);
  M[r].unsaved = 1
}

inline note_report(r) {
  if
  :: report_of[r] != 0 && M[r].held_id == report_of[r] ->
    M[r].reported = M[r].held_id; M[r].reported_fence = HIGHEST(r); end_confirmation(M[r]); M[r].unsaved = 1; PRINT_STEP(r, "records a report")
  :: else
  fi;
  report_of[r] = 0
}

inline nothing_remembered(r) {
  M[r].held_fence = 0; M[r].held_id = 0; M[r].epoch = 0; M[r].fence = 0; M[r].token_fence = 0; M[r].token_id = 0; M[r].lease_left = 0;
  end_pause(M[r]); M[r].grant = 0; M[r].grant_left = 0; M[r].grant2 = 0; M[r].grant2_left = 0;
  end_report(M[r]); end_confirmation(M[r]); M[r].unsaved = 0; M[r].up = 1; M[r].unanswered = 0; M[r].unanswered_known = 0
}
