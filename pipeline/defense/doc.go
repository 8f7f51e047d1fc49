// Package defense holds the methods that clean a model. ULRL (Min, Pham, Sun,
// "Unlearn and Relearn", arXiv 2405.14781) is in unlearn.go, score.go and
// relearn.go, in the paper's order; what relearning does beyond the paper is in
// suspect.go, counter.go, scan.go, back.go and statistics.go, the methods to
// compare with in tune.go.
package defense
