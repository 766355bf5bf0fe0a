/*
 * Time, the partner, and what happens to replicas and store.
 */

#define RUN_DOWN(x) x = (x > 0 -> x - 1 : 0)
#define RUN_UP(x, most) x = (x < most -> x + 1 : most)

inline age_facts(x) {
  RUN_DOWN(x.lease_left);
  RUN_DOWN(x.pause_left); if :: x.pause_left == 0 -> end_pause(x) :: else fi;
  RUN_DOWN(x.grant_left); if :: x.grant_left == 0 -> x.grant = 0 :: else fi;
  RUN_DOWN(x.grant2_left); if :: x.grant2_left == 0 -> x.grant2 = 0 :: else fi
}

inline store_runs_on(x) {
  RUN_DOWN(x.quarantine); if :: x.quarantine == 0 -> x.lost = 0 :: else fi;
  age_facts(x);
  if :: x.lease_left == 0 -> x.lease_nonce = 0; x.lease_fence = 0 :: else fi
}

inline tick() {
  store_runs_on(S);
#if MAXFAILOVER
  store_runs_on(backup);
#endif
  RUN_DOWN(true_lease_left);
  if
  :: true_lease_left == 0 -> true_lease = 0; true_lease_token = 0; lost_lease = 0; true_lease_age = 0
  :: else -> true_lease_age++
  fi;
  RUN_DOWN(true_cooldown); RUN_DOWN(true_permit); RUN_DOWN(true_permit2);
  i = 0;
  do
  :: i < MAXCALLS -> RUN_DOWN(call_window[i]); i++
  :: else -> break
  od;
  i = 0;
  do
  :: i < N ->
    age_facts(M[i]); RUN_DOWN(read_cooldown[i]);
#if LOCAL
    RUN_DOWN(share[i]);
#endif
    if :: at[i] == CLAIMING || at[i] == CLAIM_SEED || at[i] == READY -> RUN_UP(C[i].age, LEASE) :: else fi;
    if :: C[i].nonce != 0 && (at[i] == CLAIM_SEED || at[i] == READY) -> RUN_UP(C[i].granted_ago, WINDOW) :: else fi;
    if :: at[i] == CALLING -> RUN_UP(C[i].sent, CALL_LIMIT) :: else fi;
    i++
  :: else -> break
  od;
  i = 0                                                       /* a step may not end with a loop */
}

/* The partner answers within its time limit, or the client gives up: no call takes longer. */
#define IN_THE_AIR(r) (at[r] == CALLING && C[r].answer == 0)
#define AT_ITS_LIMIT(r) (IN_THE_AIR(r) && C[r].sent >= CALL_LIMIT)
#define MAY_AGE(r) (!AT_ITS_LIMIT(r) && !(at[r] == READY && (IS_CALM || stops >= MAXSTOP)))

inline copy_store(to, from) {
  to.epoch = from.epoch; to.lost = from.lost; to.quarantine = from.quarantine; to.fence = from.fence; to.failed_nonce = from.failed_nonce;
  to.lease_nonce = from.lease_nonce; to.lease_fence = from.lease_fence; to.lease_left = from.lease_left;
  to.pause_kind = from.pause_kind; to.pause_left = from.pause_left; to.pause_fence = from.pause_fence;
  to.grant = from.grant; to.grant_left = from.grant_left; to.grant2 = from.grant2; to.grant2_left = from.grant2_left;
  to.token_fence = from.token_fence; to.token_id = from.token_id;
  to.reported = from.reported; to.reported_fence = from.reported_fence; to.confirmed = from.confirmed; to.confirmed_fence = from.confirmed_fence
}

inline empty_store(x) {
  x.epoch = 0; x.lost = 0; x.quarantine = 0; x.fence = 0; x.failed_nonce = 0; x.lease_nonce = 0; x.lease_fence = 0; x.lease_left = 0;
  end_pause(x); x.grant = 0; x.grant_left = 0; x.grant2 = 0; x.grant2_left = 0; x.token_fence = 0; x.token_id = 0;
  end_report(x); end_confirmation(x)
}

/* Facts that were stored before are no longer checked. */
inline store_lost_facts() { true_cooldown = 0; true_permit = 0; true_permit2 = 0; true_reports = 0 }

#if CALM
#define WILL_REFRESH(r) (IS_DUE(r) && !BLOCKED(r) && !refreshed[r] && calls < MAXCALLS)
#define WILL_REPORT(r) (REPORTS && reporting[r] == 0 && M[r].held_fence != 0 && !REPORTED(r) && !VALID(M[r].held_id) && M[r].confirmed != M[r].held_id)
#define RESTS(r) (reporting[r] == 0 && !exchanging[r] && !WILL_REPORT(r) && ( \
  (at[r] == IDLE && looked[r] && !WILL_REFRESH(r)) || (at[r] == TOP && slept[r]) || (IN_THE_AIR(r) && C[r].sent < CALL_LIMIT)))
#define HAS_SETTLED(r) (at[r] == IDLE && RECOVERED(r))
#define RECOVERED(r) (M[r].held_fence == S.token_fence && M[r].held_id == S.token_id && M[r].held_fence != 0 && !REPORTED(r) && VALID(M[r].held_id))
#endif

active proctype world() {
  byte r;
  atomic {
    S.fence = SKEW;
    r = 0;
    do
    :: r < N -> M[r].up = 1; run replica(r); r++
    :: else -> break
    od;
    r = 0
  };
  do
  /* -- time */
#if CALM
  :: d_step { ALL(MAY_AGE) && (!calm || (ALL(RESTS) && calm_ticks < DEADLINE)) ->
    tick();
    if
    :: calm ->
      calm_ticks++;
      r = 0;
      do
      :: r < N -> looked[r] = 0; slept[r] = 0; refreshed[r] = 0; r++
      :: else -> break
      od;
      r = 0
    :: else
    fi }
  :: d_step { calm && ALL(RESTS) && calm_ticks < DEADLINE && ALL(HAS_SETTLED) -> calm_ticks = DEADLINE }
  :: atomic { calm && calm_ticks == DEADLINE && ALL(RESTS) -> HOLD(RECOVERY, calls >= MAXCALLS || ALL(RECOVERED)); break }
  :: calm && calls >= MAXCALLS -> break                       /* the model has no more calls */
  :: d_step { !calm && at[0] != READY && at[N - 1] != READY && NOTHING_DELAYED -> calm = 1 }
#else
  :: d_step { ALL(MAY_AGE) -> tick() }
#endif

  /* -- the partner */
  :: atomic {
    if
    :: IN_THE_AIR(0) -> r = 0
    :: IN_THE_AIR(1) -> r = 1
#if N == 3
    :: IN_THE_AIR(2) -> r = 2
#endif
    fi;
    if
    :: true ->
      d_step {
        if
        :: SAME && VALID(newest) -> C[r].answer = newest
        :: else -> ids++; newest = ids; C[r].answer = newest; valid = (REVOKE -> BIT(newest) : valid | BIT(newest))
        fi;
        true_reports = true_reports & ~BIT(C[r].answer);      /* returned after the report: that was mistaken */
        if :: C[r].leased && C[r].nonce == true_lease -> true_lease_token = C[r].answer :: else fi
      }
    :: FAULT(throttles, MAX429) -> throttles++; faults++; C[r].answer = ANSWER_429
    :: FAULT(errors, MAXERROR) -> errors++; faults++; C[r].answer = ANSWER_ERROR
    fi;
    HOLD(OUTLIVED_LEASE, !C[r].leased || lost_lease || losses > 0 || failovers > 0 || (C[r].nonce == true_lease && true_lease_left > 0));
    r = 0 }
#if MAXREVOKE
  :: d_step { FAULT(revocations, MAXREVOKE) && VALID(newest) -> revocations++; faults++; valid = valid & ~BIT(newest); PRINT_STEP(0, "PARTNER REVOKES") }
#endif

  /* -- replicas die */
#if MAXCRASH
  :: atomic { FAULT(crashes, MAXCRASH) ->
    ANY(r);
    d_step {
      crashes++; faults++; refresh_over(r); reporting[r] = 0; report_of[r] = 0; exchanging[r] = 0; read_cooldown[r] = 0;
#if LOCAL
      share[r] = 0;
#endif
      nothing_remembered(r); PRINT_STEP(r, "DIES");
      r = 0 } }
#endif

  /* -- the store loses data */
#if MAXLOSS
  :: d_step { FAULT(losses, MAXLOSS) && S.epoch != 0 -> losses++; faults++; empty_store(S); store_lost_facts(); PRINT_STEP(0, "STORE LOSES ITS DATA") }
#endif
#if MAXFAILOVER
  :: d_step { FAULT(failovers, MAXFAILOVER) && !backed_up -> backed_up = 1; copy_store(backup, S); PRINT_STEP(0, "BACKUP") }
  :: d_step { FAULT(failovers, MAXFAILOVER) && backed_up ->
    failovers++; faults++; backed_up = 0; lost_lease = (true_lease_left > 0);
    copy_store(S, backup); empty_store(backup); store_lost_facts(); PRINT_STEP(0, "FAILOVER") }
#endif
#if MAXLATE
  :: d_step { D.operation != 0 ->
    if
    :: D.operation == 1 -> do_claim(D.nonce, D.known, D.fence, D.epoch)
    :: D.operation == 2 -> do_commit(D.nonce, D.fence, D.id)
    :: D.operation == 3 -> do_fail(D.nonce, D.fence, D.kind)
    :: D.operation == 4 -> do_reject(D.id)
    :: else -> do_seed(offered)
    fi;
    delayed_over(); PRINT_STEP(0, "DELAYED REQUESTS ARRIVE") }
  :: d_step { D.operation != 0 -> delayed_over() }
#endif
  od
}
