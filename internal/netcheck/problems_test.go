package netcheck_test

import (
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/internal/netcheck"
)

// TestProblems shows that each problem is one line with the package's name, also
// those that come joined.
func TestProblems(t *testing.T) {
	p := netcheck.Problems{Package: "x"}
	require.NoError(t, p.Err())
	p.In("A", nil)
	require.NoError(t, p.Err())
	p.Add("B is %d", 1)
	p.In("C", errors.Join(io.EOF, errors.Join(errors.New("2"), errors.New("3"))))
	assert.EqualError(t, p.Err(), "x: B is 1\nx: C: EOF\nx: C: 2\nx: C: 3")
	assert.ErrorIs(t, p.Err(), io.EOF)
}
