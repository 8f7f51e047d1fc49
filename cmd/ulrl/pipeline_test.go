package main

import (
	"reflect"
	"testing"
)

// The commands' tests run on a fake engine; the real one must have all of it.
func TestTheRealEngineIsWhole(t *testing.T) {
	v := reflect.ValueOf(torchEngine())
	for i := range v.NumField() {
		if v.Field(i).IsNil() {
			t.Errorf("%s is not there", v.Type().Field(i).Name)
		}
	}
}
