package railway_test

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/railway"
)

// try calls a method, and returns its error and whether a mutation was sent.
func (c *cage) try(ctx context.Context, receiver reflect.Value, method reflect.Method) (err error, sent bool) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	args := []reflect.Value{receiver, reflect.ValueOf(ctx)}
	for i := 2; i < method.Type.NumIn(); i++ {
		args = append(args, c.argument(methodName(receiver, method), i, method.Type.In(i)))
	}
	call := method.Func.Call
	if method.Type.IsVariadic() {
		call = method.Func.CallSlice
	}
	c.infos = nil
	for _, result := range call(args) {
		if result.Kind() == reflect.Func {
			for _, failed := range result.Seq2() {
				err, _ = failed.Interface().(error)
				break
			}
		} else if failed, ok := result.Interface().(error); ok {
			err = failed
		}
	}
	return err, slices.ContainsFunc(c.infos, func(i railway.CallInfo) bool { return i.Mutation && i.Attempts > 0 })
}

// Where nothing may be changed, everything that sends a mutation is refused before it
// does, and everything that reads works as ever.
func TestReadOnly(t *testing.T) {
	all := methods(t)
	changing := make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r, m := all[name][0], all[name][1]
		t.Run(name, func(t *testing.T) {
			var normal error
			run := func(readOnly bool, test func(c *cage, err error, sent bool)) {
				synctest.Test(t, func(t *testing.T) {
					c := newCage(t)
					c.prepare(t, name)
					ctx := t.Context()
					if readOnly {
						ctx = runbook.ReadOnly(ctx)
					}
					effects := len(c.server.Effects())
					err, sent := c.try(ctx, c.receivers[r], c.receivers[r].Type().Method(m))
					test(c, err, sent || len(c.server.Effects()) > effects)
				})
			}
			run(false, func(_ *cage, err error, sent bool) { normal, changing[name] = err, sent })
			run(true, func(_ *cage, err error, sent bool) {
				assert.False(t, sent, "a change was sent where nothing may be changed")
				if changing[name] {
					require.ErrorIs(t, err, runbook.ErrReadOnly)
					assert.True(t, runbook.SafeToRetry(err), "%v", err)
				} else {
					assert.Equal(t, normal == nil, err == nil, "%v and %v", normal, err)
				}
			})
		})
	}
	maps.DeleteFunc(changing, func(_ string, sent bool) bool { return !sent })
	assert.Greater(t, len(changing), 30, "methods that change something: %v", slices.Sorted(maps.Keys(changing)))
}
