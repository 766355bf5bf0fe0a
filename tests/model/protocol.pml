/*
 * One partner token, N replicas and one store: the protocol that keeps them in agreement. See README.md.
 */

#include "flags.pml"
#include "state.pml"
#include "facts.pml"
#include "store.pml"
#include "memory.pml"
#include "steps.pml"
#include "replica.pml"
#include "world.pml"
