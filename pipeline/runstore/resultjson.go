package runstore

import "encoding/json"

// The plain types are the same without methods, so that the default encoding
// does the rest; a field beside an embedded one takes its place.
type (
	plainResult Result
	plainNeuron Neuron
	plainClass  Class
	plainLayer  Layer
	plainEpoch  EpochEvent
)

// MarshalJSON writes missing lists and maps as empty ones.
func (r Result) MarshalJSON() ([]byte, error) {
	r.Suspicious, r.Layers, r.Warnings = list(r.Suspicious), list(r.Layers), list(r.Warnings)
	r.Command, r.Clean.Drawn = list(r.Command), list(r.Clean.Drawn)
	r.Seconds, r.Inputs, r.Files = dict(r.Seconds), dict(r.Inputs), dict(r.Files)
	r.DER, r.Raised = optional(r.DER), finite(r.Raised)
	return json.Marshal(plainResult(r))
}

// MarshalJSON writes shares that are not finite as none.
func (c Class) MarshalJSON() ([]byte, error) {
	for _, by := range ways {
		before, after := c.led(by)
		*before, *after = finite(*before), finite(*after)
	}
	return json.Marshal(plainClass(c))
}

type neuronJSON struct {
	plainNeuron
	Score number   `json:"score"`
	Z     *float64 `json:"z"`
}

// MarshalJSON writes a score that is not finite as null.
func (n Neuron) MarshalJSON() ([]byte, error) {
	return json.Marshal(neuronJSON{plainNeuron(n), number(n.Score), optional(n.Z)})
}

// UnmarshalJSON reads a score of null as NaN.
func (n *Neuron) UnmarshalJSON(data []byte) error {
	var j neuronJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*n = Neuron(j.plainNeuron)
	n.Score, n.Z = float64(j.Score), j.Z
	return nil
}

type layerJSON struct {
	plainLayer
	Median    number   `json:"median"`
	MAD       number   `json:"mad"`
	Threshold number   `json:"threshold"`
	Scores    []number `json:"scores"`
}

// MarshalJSON writes what is not finite as null.
func (l Layer) MarshalJSON() ([]byte, error) {
	l.Selected = list(l.Selected)
	return json.Marshal(layerJSON{plainLayer(l), number(l.Median), number(l.MAD), number(l.Threshold), toNumbers(l.Scores)})
}

// UnmarshalJSON reads null as NaN.
func (l *Layer) UnmarshalJSON(data []byte) error {
	var j layerJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*l = Layer(j.plainLayer)
	l.Median, l.MAD, l.Threshold = float64(j.Median), float64(j.MAD), float64(j.Threshold)
	l.Scores = fromNumbers(j.Scores)
	return nil
}

type epochJSON struct {
	plainEpoch
	Loss     number `json:"loss"`
	Accuracy number `json:"accuracy"`
	Cosine   number `json:"cosine,omitempty"`
}

// MarshalJSON writes what is not finite as null: the epoch in which a loss
// diverged is the one that must not be lost.
func (e EpochEvent) MarshalJSON() ([]byte, error) {
	return json.Marshal(epochJSON{plainEpoch(e), number(e.Loss), number(e.Accuracy), number(e.Cosine)})
}

// UnmarshalJSON reads null as NaN.
func (e *EpochEvent) UnmarshalJSON(data []byte) error {
	var j epochJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*e = EpochEvent(j.plainEpoch)
	e.Loss, e.Accuracy, e.Cosine = float64(j.Loss), float64(j.Accuracy), float64(j.Cosine)
	return nil
}
