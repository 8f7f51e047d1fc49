// Package gate checks a TorchScript file before libtorch sees it, as data: nothing
// of it is run or unpickled. What passes is packed anew, so that libtorch reads
// exactly what was checked. Behind it, once the file is loaded, Operators judges
// what its code can do; docs/security.md has what both leave open.
package gate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Verdict is what Check found in a file that passed.
type Verdict struct {
	Archive   []byte   `json:"-"`         // packed anew: what to load
	Records   int      `json:"records"`   // in Archive
	Bytes     int64    `json:"bytes"`     // of those records, inflated
	Operators []string `json:"operators"` // that the code names, as the text has them: torch.X, ops.ns.X
	Dropped   []string `json:"dropped"`   // records that libtorch does not need to load the model
}

// Refused is a file that did not pass, in one line.
type Refused struct {
	Record string // where; "" is the file as a whole
	Line   int    // of a record of code; 0: none
	What   string
	Advice string // what to do about it; may be ""
}

func (r *Refused) Error() string {
	var b strings.Builder
	switch {
	case r.Line > 0:
		fmt.Fprintf(&b, "%s, line %d: ", r.Record, r.Line)
	case r.Record != "":
		b.WriteString(r.Record + ": ")
	}
	b.WriteString(r.What)
	if r.Advice != "" {
		b.WriteString(": " + r.Advice)
	}
	return b.String()
}

// What to do about a refusal.
const (
	exportAdvice = "save the model with torch.jit.script(model).save(path)"
	ownAdvice    = "if the model is your own, change that and save it again; if not, do not run it"
	copyAdvice   = "copy it again"
)

func refuse(record, advice, format string, args ...any) error {
	return &Refused{Record: record, What: fmt.Sprintf(format, args...), Advice: advice}
}

// Check reads the bytes of a TorchScript file. Its error is a *Refused. The verdict's
// archive shares no memory with data.
func Check(data []byte) (*Verdict, error) {
	if err := looksLikeTorchScript(data); err != nil {
		return nil, err
	}
	a, err := open(data)
	if err != nil {
		return nil, err
	}
	if err := a.checkForm(); err != nil {
		return nil, err
	}
	code, err := a.checkCode()
	if err != nil {
		return nil, err
	}
	used, err := a.checkValues(code.classes)
	if err != nil {
		return nil, err
	}
	for name := range a.records {
		if (strings.HasPrefix(name, "data/") || strings.HasPrefix(name, "constants/")) && !used[name] {
			a.drop(name)
		}
	}
	v := &Verdict{Records: len(a.records), Operators: sorted(code.operators), Dropped: sorted(a.dropped)}
	for _, r := range a.records {
		v.Bytes += int64(len(r))
	}
	v.Archive, err = pack(a.records)
	return v, err
}

func sorted(set map[string]bool) []string {
	return append([]string{}, slices.Sorted(maps.Keys(set))...)
}
