package alerttest

import (
	"encoding/json"
	"math"
	"net/http"
	"time"
)

// respond answers with JSON.
func respond(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// Whoever went away gets nothing; there is nobody to tell.
	_ = json.NewEncoder(w).Encode(v)
}

// tooMany takes note of a request, or says after how many seconds one is taken again if
// there were most of them within the window that ends now.
func tooMany(sent *[]time.Time, most int, window time.Duration) (seconds int) {
	now := time.Now()
	for len(*sent) > 0 && now.Sub((*sent)[0]) >= window {
		*sent = (*sent)[1:]
	}
	if len(*sent) >= most {
		return max(1, int(math.Ceil(window.Seconds()-now.Sub((*sent)[0]).Seconds())))
	}
	*sent = append(*sent, now)
	return 0
}
