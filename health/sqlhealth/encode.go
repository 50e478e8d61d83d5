package sqlhealth

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.acu.edu.au/runbook/health"
)

// encodeLatencies writes the classes that have counts, in order:
// "12=3,40=1" is 3 answers of class 12 and one of class 40.
func encodeLatencies(l *health.Latencies) string {
	var b []byte
	for class, n := range l {
		if n == 0 {
			continue
		}
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(class), 10)
		b = append(b, '=')
		b = strconv.AppendUint(b, uint64(n), 10)
	}
	return string(b)
}

// decodeLatencies reads what encodeLatencies writes.
func decodeLatencies(text string) (l health.Latencies, err error) {
	if text == "" {
		return l, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		class, count, ok := strings.Cut(part, "=")
		i, err1 := strconv.ParseUint(class, 10, 8)
		n, err2 := strconv.ParseUint(count, 10, 16)
		if !ok || err1 != nil || err2 != nil || i >= uint64(len(l)) {
			return health.Latencies{}, fmt.Errorf("latencies: %.40q is not a class and a count", part)
		}
		l[i] = uint16(n)
	}
	return l, nil
}

// A result is a [health.Result] in the database. Fields are only ever added.
type result struct {
	Status       health.Status `json:"status"`
	Cause        health.Cause  `json:"cause,omitempty"`
	Message      string        `json:"message,omitempty"`
	Measurements []measurement `json:"measurements,omitempty"`
	Time         time.Time     `json:"time"`
	Nanoseconds  time.Duration `json:"duration_ns"`
}

type measurement struct {
	Name  string      `json:"name"`
	Value number      `json:"value"`
	Unit  health.Unit `json:"unit,omitempty"`
	Text  string      `json:"text,omitempty"`
}

// A number is a float64 that may be infinite or not a number, which JSON has
// no number for: those are texts.
type number float64

// MarshalJSON implements json.Marshaler.
func (n number) MarshalJSON() ([]byte, error) {
	text := strconv.FormatFloat(float64(n), 'g', -1, 64)
	if f := float64(n); math.IsNaN(f) || math.IsInf(f, 0) {
		text = strconv.Quote(text)
	}
	return []byte(text), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(text []byte) error {
	f, err := strconv.ParseFloat(strings.Trim(string(text), `"`), 64)
	*n = number(f)
	return err
}

func encodeResult(r health.Result) (string, error) {
	row := result{Status: r.Status, Cause: r.Cause, Message: r.Message, Time: r.Time.UTC(), Nanoseconds: r.Duration}
	for _, m := range r.Measurements {
		row.Measurements = append(row.Measurements, measurement{Name: m.Name, Value: number(m.Value), Unit: m.Unit, Text: m.Text})
	}
	text, err := json.Marshal(row)
	return string(text), err
}

func decodeResult(text string) (health.Result, error) {
	var row result
	if err := json.Unmarshal([]byte(text), &row); err != nil {
		return health.Result{}, err
	}
	r := health.Result{Status: row.Status, Cause: row.Cause, Message: row.Message, Time: row.Time, Duration: row.Nanoseconds}
	for _, m := range row.Measurements {
		r.Measurements = append(r.Measurements, health.Measurement{Name: m.Name, Value: float64(m.Value), Unit: m.Unit, Text: m.Text})
	}
	return r, nil
}
