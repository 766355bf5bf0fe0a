/*
 * One replica: rounds of the refresher, refreshes, calls and reports.
 */

#if MAXLATE
#define DELAYED(r, what, lost) :: FAULT(delays, MAXLATE) && D.operation == 0 -> d_step { what; store_is_down(r); lost }
#else
#define DELAYED(r, what, lost)
#endif
/* Replicas are alike: the first to begin is called 0. */
#define STARTED(r) (r == 0 || WALL > 0 || epochs > 0 || at[0] != IDLE || faults > 0)
/* An app may act between two steps of a refresh. */
#define APPS_MAY_ASK(r) (!exchanging[r] && (GAP || at[r] != READY))

inline claim(r) {
  exchanging[r] = 1; C[r].age = 0;
  if
  :: true ->
    d_step {
      claim_sent(r); note_lease(r);
      HOLD(WAITED_FOR_ITSELF, outcome != HELD || S.lease_left == 0 || S.lease_nonce != M[r].unanswered);
      if
      :: HAS_MORE(r) -> at[r] = CLAIM_SEED
      :: else -> follow(r, A[r].known); exchanging[r] = 0; claimed(r)
      fi; PRINT_STEP(r, "claims") }
  :: FAULT(lost_requests, MAXREQUEST) -> d_step { lost_requests++; faults++; without_store(r) }
  :: FAULT(lost_replies, MAXREPLY) -> d_step { lost_replies++; faults++; claim_sent(r); without_store(r) }
  DELAYED(r, delay(1, M[r].unanswered, A[r].fence, 0, 0, A[r].epoch, A[r].known), without_store(r))
  fi
}

proctype replica(byte r) {
end:
  do
  /* -- a round of the refresher: it reads the store */
  :: atomic { at[r] == IDLE && !exchanging[r] && STARTED(r) && MAY_LOOK(r) ->
#if CALM
    looked[r] = calm;
#endif
    if
    :: true ->
      d_step {
        if
        :: HAS_MORE(r) -> exchanging[r] = 1; at[r] = LOOK_SEED
        :: else -> n = SHOWN_BEYOND(r); follow(r, n)
        fi; PRINT_STEP(r, "reads the store") }
    :: FAULT(lost_requests, MAXREQUEST) && M[r].up -> d_step { lost_requests++; faults++; M[r].up = 0; PRINT_STEP(r, "gets no reply to its read") }
    fi }

  /* -- a refresh begins */
  :: d_step { at[r] == IDLE && STARTED(r) && calls < MAXCALLS && !BLOCKED(r) && MAY_REFRESH(r) && IS_DUE(r) ->
    if
    :: NEEDS_TOKEN(r) || IS_CALM
    :: else -> refreshes_ahead++
    fi;
    wanted[r] = M[r].held_fence; waited[r] = 0; at[r] = TOP; PRINT_STEP(r, "begins a refresh") }
  :: atomic { at[r] == TOP && MAY_GO_ON(r) ->
    d_step {
      if
      :: (M[r].held_fence > wanted[r] && !REPORTED(r)) || M[r].pause_left > 0 || calls >= MAXCALLS -> refresh_over(r)
      :: else ->
        A[r].known = M[r].held_fence; A[r].fence = M[r].fence; A[r].epoch = M[r].epoch;
        if                                                    /* a claim without an answer is repeated */
        :: M[r].unanswered == 0 || M[r].unanswered_known != A[r].known ->
          fresh_nonce(r); M[r].unanswered = n; M[r].unanswered_known = A[r].known
        :: else
        fi;
        at[r] = CLAIMING
      fi
    };
#if REPORTS
    skip }
  :: atomic { at[r] == CLAIMING && !exchanging[r] -> claim(r) }
#else                                                         /* no other exchange of this replica with the store is running */
    if
    :: at[r] == CLAIMING -> claim(r)
    :: else
    fi }
#endif

  /* -- the first byte */
  :: atomic { at[r] == READY && calls < MAXCALLS ->
    d_step {
      if
      :: MAY_SEND(r) -> send(r)
      :: else ->
        if :: !IN_TIME(r) && !IS_CALM -> stops++ :: else fi;
        C[r].kind = 0; at[r] = FAILING
      fi; PRINT_STEP(r, "checks before the first byte") } }

  /* -- the partner's answer is read, however late */
  :: atomic { at[r] == CALLING && C[r].answer != 0 ->
    d_step {
      if
      :: C[r].answer == ANSWER_429 -> RAISE(read_cooldown[r], COOLDOWN); C[r].kind = THROTTLED; C[r].answer = 0; at[r] = FAILING
      :: C[r].answer == ANSWER_ERROR -> C[r].kind = FAILED; C[r].answer = 0; at[r] = FAILING
      :: else ->
        if
#ifdef BUG_OLDER_TOKEN_TAKEN
        :: true -> take(r, C[r].fence, C[r].answer)
#else
        :: C[r].fence >= M[r].held_fence -> take(r, C[r].fence, C[r].answer)
        :: else
#endif
        fi;
        if
        :: C[r].leased -> at[r] = COMMITTING
        :: !C[r].leased && C[r].fence >= M[r].held_fence -> note_success(r); refresh_over(r)
        :: else -> refresh_over(r)
        fi
      fi; PRINT_STEP(r, "reads the answer") } }
  :: atomic { at[r] == CALLING && C[r].answer == 0 && C[r].sent >= CALL_LIMIT && FAULT(errors, MAXERROR) ->
    errors++; faults++; C[r].kind = FAILED; at[r] = FAILING }

  /* -- commit */
  :: atomic { at[r] == COMMITTING && !exchanging[r] ->
    if
    :: true ->
      d_step {
        do_commit(C[r].nonce, C[r].fence, C[r].answer);
        if
        :: HAS_MORE(r) -> exchanging[r] = 1; at[r] = COMMIT_SEED
        :: else -> follow(r, C[r].fence); refresh_over(r)
        fi; PRINT_STEP(r, "commits") }
    :: FAULT(lost_requests, MAXREQUEST) -> d_step { lost_requests++; faults++; M[r].up = 0; commit_not_stored(r) }
    :: FAULT(lost_replies, MAXREPLY) ->
      d_step { lost_replies++; faults++; M[r].up = 0; do_commit(C[r].nonce, C[r].fence, C[r].answer); commit_not_stored(r) }
    DELAYED(r, delay(2, C[r].nonce, C[r].fence, C[r].answer, 0, 0, 0), commit_not_stored(r))
    fi }

  /* -- fail */
  :: d_step { at[r] == FAILING && !C[r].leased -> failure_not_stored(r) }
  :: atomic { at[r] == FAILING && C[r].leased && !exchanging[r] ->
    if
    :: true ->
      d_step {
        do_fail(C[r].nonce, C[r].fence, C[r].kind);
        if
        :: HAS_MORE(r) -> exchanging[r] = 1; at[r] = FAIL_SEED
        :: else -> follow(r, M[r].held_fence); failure_stored(r)
        fi; PRINT_STEP(r, "stores its failure") }
    :: FAULT(lost_requests, MAXREQUEST) -> d_step { lost_requests++; faults++; M[r].up = 0; failure_not_stored(r) }
    :: FAULT(lost_replies, MAXREPLY) ->
      d_step { lost_replies++; faults++; M[r].up = 0; do_fail(C[r].nonce, C[r].fence, C[r].kind); failure_not_stored(r) }
    DELAYED(r, delay(3, C[r].nonce, C[r].fence, 0, C[r].kind, 0, 0), failure_not_stored(r))
    fi }

  /* -- the store is seeded after another exchange, before its reply is followed */
  :: atomic { exchanging[r] ->
    if
    :: true -> d_step { seed_and_follow(r); exchanging[r] = 0; seed_answered(r); PRINT_STEP(r, "seeds the store") }
    :: FAULT(lost_requests, MAXREQUEST) -> d_step { lost_requests++; faults++; seed_unanswered(r) }
    :: FAULT(lost_replies, MAXREPLY) -> d_step { lost_replies++; faults++; do_seed(M[r]); seed_unanswered(r) }
    DELAYED(r, delay_seed(r), seed_unanswered(r))
    fi }

#if REPORTS
  /* -- an app reports the token that is held */
  :: atomic { reporting[r] == 0 && APPS_MAY_ASK(r) && M[r].held_fence != 0 && !REPORTED(r) && M[r].confirmed != M[r].held_id &&
      (!VALID(M[r].held_id) || FAULT(wrong_reports, MAXWRONG)) ->
    if
    :: VALID(M[r].held_id) -> wrong_reports++; faults++
    :: else
    fi;
    report_of[r] = M[r].held_id; reject(r, 2) }
  :: atomic { reporting[r] == 2 && APPS_MAY_ASK(r) ->
    if
    :: M[r].held_id != report_of[r] || REPORTED(r) -> reporting[r] = 0; report_of[r] = 0
    :: else -> reject(r, 4)
    fi }
  /* -- an app reports a token that is not held: the replica reads the store */
  :: d_step { reporting[r] == 0 && APPS_MAY_ASK(r) && at[r] >= READY && !IS_CALM ->
    if
    :: HAS_MORE(r) -> exchanging[r] = 1; reporting[r] = 3
    :: else -> n = SHOWN_BEYOND(r); follow(r, n)
    fi; PRINT_STEP(r, "reads the store for an app") }
#endif
  od
}
