/*
 * Facts that can be superseded, and how two of one kind are merged. Each carries the fence at which it was recorded.
 *
 * x is the store or a replica's memory.
 */

/* No pause shortens another. */
inline merge_pause(x, kind_, left_, fence_) {
  if
  :: (left_) == 0
#ifndef BUG_PAUSE_SHORTENED
  :: (left_) > 0 && x.pause_left > (left_) ->
    if
    :: x.pause_kind == (kind_) -> RAISE(x.pause_fence, fence_)
    :: else
    fi
#endif
  :: else -> x.pause_kind = kind_; x.pause_left = left_; x.pause_fence = fence_
  fi
}

inline end_pause(x) { x.pause_kind = 0; x.pause_left = 0; x.pause_fence = 0 }

/* The two newest stay: a budget of two calls looks at no others. */
inline merge_grant(fence_, left_) {
  if
  :: (left_) == 0 || (fence_) == S.grant || (fence_) == S.grant2
  :: else ->
    if
    :: (left_) >= S.grant_left -> S.grant2 = S.grant; S.grant2_left = S.grant_left; S.grant = fence_; S.grant_left = left_
    :: (left_) < S.grant_left && (left_) > S.grant2_left -> S.grant2 = fence_; S.grant2_left = left_
    :: else
    fi
  fi
}

inline end_report(x) { x.reported = 0; x.reported_fence = 0 }
inline end_confirmation(x) { x.confirmed = 0; x.confirmed_fence = 0 }

/* Of a report and a confirmation of one token the one with the higher fence holds; the report, if they are equal. */
inline settle(x) {
  if
  :: x.confirmed != 0 && x.confirmed == x.reported ->
    if
    :: x.confirmed_fence > x.reported_fence -> end_report(x)
    :: else -> end_confirmation(x)
    fi
  :: else
  fi
}

/* A token has replaced the previous one. */
inline forget_others(x, id_) {
  if :: x.reported != (id_) -> end_report(x) :: else fi;
  if :: x.confirmed != (id_) -> end_confirmation(x) :: else fi
}

/* The partner returned this token to the call of this fence. */
inline prove(x, fence_, id_) {
  forget_others(x, id_);
  if
#ifdef BUG_CONFIRMED_BY_ANY_CALL
  :: x.reported == (id_) ->
#else
  :: x.reported == (id_) && x.reported_fence < (fence_) ->
#endif
    end_report(x); x.confirmed = id_; x.confirmed_fence = fence_
  :: else
  fi
}
