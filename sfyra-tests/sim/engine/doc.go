// Package engine attacks the decision core of Ingot under virtual time: the real reconciler, the real desk of the agents and the real lifecycle, called
// directly by a seeded scheduler over sim/store, with models of machines, BMCs, agents, impostors and operators around them.
//
// Layer 5, proof. Invariants of the engine itself:
//   - One seed and one configuration give one run: a single goroutine, virtual time, and random numbers from streams that are named after their use,
//     so that leaving one fault out changes as little as possible of the rest.
//   - The oracle is the models' own truth (what is on a disk, who wrote it, what a person saw when he confirmed it), never what the product says of itself.
//   - Every fault and every gesture is counted: one that never happens proves nothing.
package engine
