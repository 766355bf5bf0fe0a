/*
 * The parts of a refresh and of a report that `replica` is made of.
 */

/* What blocks a refresh. */
#define BLOCKED(r) (M[r].pause_left > 0 || (M[r].up && M[r].lease_left == 0 && M[r].grant2_left > 0))
#define NEEDS_TOKEN(r) (M[r].held_fence == 0 || REPORTED(r))
#if CALM
/* In the calm a token that the partner does not accept is refreshed in the end because of its age. */
#define IS_DUE(r) (NEEDS_TOKEN(r) || (calm -> !VALID(M[r].held_id) : refreshes_ahead < MAXAHEAD))
#else
#define IS_DUE(r) (NEEDS_TOKEN(r) || refreshes_ahead < MAXAHEAD)
#endif

/* The check right before the first byte. The call has to end before its lease. */
#ifdef BUG_NO_CLOCK
#define IN_TIME(r) true
#else
#define IN_TIME(r) (C[r].age + CALL_LIMIT < C[r].left)
#endif
#ifdef BUG_NO_LOOK_BEFORE_SENDING
#define MAY_SEND(r) IN_TIME(r)
#else
#define MAY_SEND(r) (IN_TIME(r) && M[r].pause_left == 0 && !(M[r].held_fence > C[r].known && !REPORTED(r)))
#endif

#if MAXFAILOVER
#define IN_BACKUP(x) (x == backup.lease_nonce || x == backup.failed_nonce)
#else
#define IN_BACKUP(x) false
#endif
#if MAXLATE
#define IS_DELAYED(x) (x == D.nonce)
#define NOTHING_DELAYED (D.operation == 0)
#else
#define IS_DELAYED(x) false
#define NOTHING_DELAYED true
#endif

/* A nonce that is stored nowhere any more stands for a random one. */
inline fresh_nonce(r) {
  n = 1 + r;
  do
  :: n == S.lease_nonce || n == S.failed_nonce || n == true_lease || IN_BACKUP(n) || IS_DELAYED(n) -> n = n + N
  :: else -> break
  od
}

inline call_over(r) {
  C[r].nonce = 0; C[r].fence = 0; C[r].left = 0; C[r].age = 0; C[r].known = 0; C[r].leased = 0; C[r].answer = 0; C[r].sent = 0;
  C[r].kind = 0; C[r].granted_ago = 0
}

inline asked(r) { A[r].known = 0; A[r].fence = 0; A[r].epoch = 0; A[r].outcome = 0 }

inline refresh_over(r) {
  at[r] = IDLE; wanted[r] = 0; waited[r] = 0; asked(r); call_over(r);
#if CALM
  refreshed[r] = calm
#endif
}

inline again(r) { at[r] = TOP; asked(r); call_over(r) }

inline claim_sent(r) { do_claim(M[r].unanswered, A[r].known, A[r].fence, A[r].epoch) }

/* The reply's outcome for the lease. */
inline note_lease(r) {
  A[r].outcome = outcome;
  if
  :: outcome == GRANTED ->
    C[r].nonce = S.lease_nonce; C[r].fence = S.lease_fence; C[r].left = S.lease_left; C[r].leased = 1; C[r].granted_ago = true_lease_age
  :: else -> C[r].age = 0
  fi
}

inline claimed(r) {
  M[r].unanswered = 0; M[r].unanswered_known = 0;
  if
  :: A[r].outcome == ADOPT && M[r].held_fence > A[r].known -> refresh_over(r)
  :: A[r].outcome == OVER_BUDGET -> refresh_over(r)
  :: A[r].outcome == GRANTED -> C[r].known = A[r].known; at[r] = READY; asked(r)
  :: else ->
    again(r);
#if CALM
    slept[r] = calm
#endif
  fi
}

inline store_is_down(r) { M[r].up = 0; exchanging[r] = 0 }

/* The claim got no answer: wait once, then call on the replica's own share. */
inline without_store(r) {
  store_is_down(r); PRINT_STEP(r, "gets no reply to its claim");
#if LOCAL
  if
  :: share[r] > 0 || M[r].lease_left > 0 || M[r].grant2_left > 0 || M[r].pause_left > 0 -> refresh_over(r)
  :: !(share[r] > 0 || M[r].lease_left > 0 || M[r].grant2_left > 0 || M[r].pause_left > 0) ->
    if
    :: M[r].held_fence != 0 && !REPORTED(r) && !waited[r] -> refresh_over(r)     /* good for some time */
    :: (M[r].held_fence == 0 || REPORTED(r)) && !waited[r] -> waited[r] = 1; again(r)
    :: waited[r] -> draw_local(r)
    fi
  fi
#else
  refresh_over(r)
#endif
}

#if LOCAL
inline draw_local(r) {
  share[r] = WINDOW; clock = clock + 2;
  call_over(r);
  C[r].fence = HIGHEST(r) + 1;
  if                                                          /* a replica that has never reached the store has only its machine's clock */
  :: M[r].epoch == 0 && r == 0 -> RAISE(C[r].fence, clock + WALL)
  :: else -> RAISE(C[r].fence, clock)
  fi;
#ifndef BUG_SHARED_FENCES
  C[r].fence = ODD_FROM(C[r].fence);
#endif
  M[r].fence = C[r].fence;
  C[r].left = LEASE; C[r].known = A[r].known; at[r] = READY; asked(r); PRINT_STEP(r, "draws a fence of its own")
}
#endif

inline send(r) {
  calls++;
  at[r] = CALLING; C[r].sent = 0; C[r].answer = 0;
  HOLD(CALL_IN_COOLDOWN, read_cooldown[r] == 0);
  if
  :: C[r].leased ->
    i = 0; n = (C[r].granted_ago < WINDOW -> 1 : 0);
    do
    :: i < MAXCALLS -> if :: call_window[i] > 0 -> n++ :: else fi; i++
    :: else -> break
    od;
    HOLD(BUDGET, n <= 2 + losses + failovers);
    i = 0;
    do
    :: call_window[i] > 0 -> i++
    :: else -> break
    od;
    call_window[i] = (C[r].granted_ago < WINDOW -> WINDOW - C[r].granted_ago : 0)
  :: else
  fi;
  C[r].granted_ago = 0; C[r].age = 0; C[r].left = 0; C[r].known = 0
}

/* The end of the lease could not be stored. */
inline failure_not_stored(r) {
  note_failure(r); PRINT_STEP(r, "records its failure");
  failure_stored(r)
}

inline failure_stored(r) {
  if
  :: C[r].kind == 0 -> again(r)
  :: else -> refresh_over(r)
  fi
}

inline commit_not_stored(r) { note_success(r); refresh_over(r); PRINT_STEP(r, "could not commit") }

inline seed_answered(r) {
  if
  :: reporting[r] == 1 || reporting[r] == 3 -> reporting[r] = 0; report_of[r] = 0
  :: else ->
    if
    :: at[r] == CLAIM_SEED -> claimed(r)
    :: at[r] == COMMIT_SEED -> refresh_over(r)
    :: at[r] == FAIL_SEED -> failure_stored(r)
    :: else -> at[r] = IDLE
    fi
  fi
}

inline seed_unanswered(r) {
  M[r].unsaved = 1; store_is_down(r);
  if
  :: reporting[r] == 1 -> reporting[r] = 0; note_report(r)
  :: reporting[r] == 3 -> reporting[r] = 0
  :: else ->
    if
    :: at[r] == CLAIM_SEED -> without_store(r)
    :: at[r] == COMMIT_SEED -> commit_not_stored(r)
    :: at[r] == FAIL_SEED -> failure_not_stored(r)
    :: else -> at[r] = IDLE
    fi
  fi
}

#if MAXLATE
inline delay(operation_, nonce_, fence_, id_, kind_, epoch_, known_) {
  D.operation = operation_; D.nonce = nonce_; D.fence = fence_; D.id = id_; D.kind = kind_; D.epoch = epoch_; D.known = known_;
  delays++; faults++
}

inline delay_seed(r) {
  delay(5, 0, 0, 0, 0, 0, 0);
  offered.held_fence = M[r].held_fence; offered.held_id = M[r].held_id; offered.epoch = M[r].epoch; offered.fence = M[r].fence;
  offered.pause_kind = M[r].pause_kind; offered.pause_left = M[r].pause_left; offered.pause_fence = M[r].pause_fence;
  offered.grant = M[r].grant; offered.grant_left = M[r].grant_left; offered.grant2 = M[r].grant2; offered.grant2_left = M[r].grant2_left;
  offered.reported = M[r].reported; offered.reported_fence = M[r].reported_fence;
  offered.confirmed = M[r].confirmed; offered.confirmed_fence = M[r].confirmed_fence
}

inline delayed_over() {
  D.operation = 0; D.nonce = 0; D.fence = 0; D.id = 0; D.kind = 0; D.epoch = 0; D.known = 0;
  offered.held_fence = 0; offered.held_id = 0; offered.epoch = 0; offered.fence = 0; end_pause(offered);
  offered.grant = 0; offered.grant_left = 0; offered.grant2 = 0; offered.grant2_left = 0; end_report(offered); end_confirmation(offered)
}
#endif

#if REPORTS
/* next: what follows when the store has another token, or none: 2 asks again, 4 records the report. */
inline reject(r, next) {
  if
  :: true ->
    d_step {
      do_reject(report_of[r]);
      if
      :: HAS_MORE(r) -> exchanging[r] = 1; reporting[r] = 1
      :: else ->
        n = (outcome == LATE -> 0 : S.token_fence);
        length = outcome;
        follow(r, n);
        reporting[r] = (length == LATE && M[r].held_id == report_of[r] -> next : 0);
        if
        :: reporting[r] == 4 -> reporting[r] = 0; note_report(r)
        :: reporting[r] == 0 -> report_of[r] = 0
        :: else
        fi
      fi; PRINT_STEP(r, "reports") }
  :: FAULT(lost_requests, MAXREQUEST) -> d_step { lost_requests++; faults++; M[r].up = 0; reporting[r] = 0; note_report(r) }
  :: FAULT(lost_replies, MAXREPLY) ->
    d_step { lost_replies++; faults++; M[r].up = 0; reporting[r] = 0; do_reject(report_of[r]); note_report(r) }
#if MAXLATE
  :: FAULT(delays, MAXLATE) && D.operation == 0 ->
    d_step { delay(4, 0, 0, report_of[r], 0, 0, 0); M[r].up = 0; reporting[r] = 0; note_report(r) }
#endif
  fi
}
#endif
