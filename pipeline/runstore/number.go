package runstore

import (
	"encoding/json"
	"math"
)

// number is a float64 that JSON can always hold: a loss that diverged (NaN or
// infinite) is written as null and read back as NaN.
type number float64

// MarshalJSON writes null for what is not finite.
func (n number) MarshalJSON() ([]byte, error) {
	if v := float64(n); !math.IsNaN(v) && !math.IsInf(v, 0) {
		return json.Marshal(v)
	}
	return []byte("null"), nil
}

// UnmarshalJSON reads null as NaN.
func (n *number) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*n = number(math.NaN())
		return nil
	}
	return json.Unmarshal(data, (*float64)(n))
}

func toNumbers(values []float64) []number {
	out := make([]number, len(values))
	for i, v := range values {
		out[i] = number(v)
	}
	return out
}

func fromNumbers(values []number) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = float64(v)
	}
	return out
}

// optional is number for a pointer: what is not finite counts as missing.
func optional(v *float64) *float64 {
	if v == nil || math.IsNaN(*v) || math.IsInf(*v, 0) {
		return nil
	}
	return v
}

// finite is 0 in place of what is not.
func finite(v float64) float64 {
	if optional(&v) == nil {
		return 0
	}
	return v
}

// list writes no list as [], which readers need not treat apart.
func list[T any](values []T) []T {
	if values == nil {
		return []T{}
	}
	return values
}

func dict[V any](values map[string]V) map[string]V {
	if values == nil {
		return map[string]V{}
	}
	return values
}
