package canvastest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

var adminBucket = canvastest.TokenIdentifier(canvastest.AdminToken)

func remaining(t testing.TB, r reply) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(r.Header.Get("X-Rate-Limit-Remaining"), 64)
	require.NoError(t, err, "%v", r.Header)
	return f
}

// The value is pinned by Canvas' own tests (request_throttle_spec.rb).
//
// Requirement: CV-BUCKET-FIRST, CV-BUCKET-SETTLE, CV-HEADER-COST, CV-HEADER-REMAINING, CV-BUCKET-CONSTANTS
func TestTheFirstRequestShowsTheLeakOfItsReservation(t *testing.T) {
	for _, latency := range []time.Duration{0, 100 * time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			fake := &canvastest.Server{Load: canvastest.Load{Cost: 30, Latency: latency}}
			r := get(t, fake, "/api/v1/users/self")
			assert.Equal(t, "30.0", r.Header.Get("X-Request-Cost"))
			left := remaining(t, r)
			assert.GreaterOrEqual(t, left, 570.0)
			assert.LessOrEqual(t, left, 580.0)
			// 600 - (50 - 10·latency + 30 - 50)
			assert.InDelta(t, 570+10*latency.Seconds(), left, 1e-5)
		})
	}
}

// The order: leak without a floor, add, clamp at the maximum, clamp at zero.
//
// Requirement: CV-BUCKET-ORDER, CV-BUCKET-CONSTANTS
func TestABucketLeaksBelowZeroBeforeItIsFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fake canvastest.Server
		assert.Equal(t, 5.0, fake.Spend(adminBucket, 5))
		time.Sleep(100 * time.Second)
		assert.Equal(t, 0.0, fake.Spend(adminBucket, 50), "5 - 1000 + 50 is clamped after the sum")
		assert.Equal(t, 50.0, fake.Spend(adminBucket, 50), "an empty bucket does not leak")
		time.Sleep(time.Second)
		assert.InDelta(t, 40, fake.Bucket(adminBucket), 1e-5)
		assert.Equal(t, 800.0, fake.Spend(adminBucket, 5000))
		assert.Equal(t, 0.0, fake.Spend(adminBucket, -5000))
	})
}

// Requirement: CV-BUCKET-EXPIRY
func TestABucketIsForgottenAfterAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{Throttle: canvastest.Throttle{Outflow: 1e-9}}
		fake.Spend(adminBucket, 100)
		time.Sleep(time.Hour - time.Second)
		assert.InDelta(t, 100, fake.Spend(adminBucket, 0), 1e-3, "the write renews it")
		time.Sleep(time.Hour - time.Second)
		assert.InDelta(t, 100, fake.Bucket(adminBucket), 1e-3)
		time.Sleep(time.Second)
		assert.Equal(t, 0.0, fake.Bucket(adminBucket))
		assert.Equal(t, 7.0, fake.Spend(adminBucket, 7))
	})
}

// together sends requests at the same moment and returns their statuses.
func together(t *testing.T, fake *canvastest.Server, n int) (ok, rejected []reply) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			r := get(t, fake, "/api/v1/users/self")
			mu.Lock()
			defer mu.Unlock()
			if r.StatusCode == http.StatusOK {
				ok = append(ok, r)
			} else {
				rejected = append(rejected, r)
			}
		})
	}
	wg.Wait()
	return ok, rejected
}

// Requirement: CV-BUCKET-BURST, CV-BUCKET-ADMISSION, CV-REJECT-429, CV-HEADER-REJECTION, CV-HEADER-NO-RETRY-AFTER
func TestFromAnEmptyBucketABurstPasses(t *testing.T) {
	for highWater, pass := range map[float64]int{600: 11, 700: 13} {
		synctest.Test(t, func(t *testing.T) {
			fake := &canvastest.Server{Throttle: canvastest.Throttle{HighWater: highWater}, Load: canvastest.Load{Latency: time.Second}}
			ok, rejected := together(t, fake, pass+1)
			assert.Len(t, ok, pass)
			require.Len(t, rejected, 1)
			r := rejected[0]
			assert.Equal(t, http.StatusTooManyRequests, r.StatusCode)
			assert.Equal(t, "429 Forbidden (Rate Limit Exceeded)\n", string(r.body))
			assert.Empty(t, r.Header.Get("X-Request-Cost"))
			assert.Empty(t, r.Header.Get("Retry-After"))
			// The reservations of the others and its own, leaked for 20 ms, and then
			// its own taken back.
			assert.InDelta(t, 50.2, remaining(t, r), 0.01, "the trap: it is not 0")
		})
	}
}

// Requirement: CV-REJECT-403
func TestAnOlderCanvasRejectsWith403(t *testing.T) {
	fake := &canvastest.Server{Throttle: canvastest.Throttle{Status: http.StatusForbidden}}
	fake.Spend(adminBucket, 590)
	r := get(t, fake, "/api/v1/users/self")
	assert.Equal(t, http.StatusForbidden, r.StatusCode)
	assert.Equal(t, "403 Forbidden (Rate Limit Exceeded)\n", string(r.body))
	assert.Equal(t, "text/plain; charset=utf-8", r.Header.Get("Content-Type"))
}

// Requirement: CV-HEADER-REMAINING
func TestWhatRemainsCanBeNegative(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fake canvastest.Server
		fake.SetLoad("GET /api/v1/users/:id", canvastest.Load{Cost: 5000})
		assert.Equal(t, "-200.0", get(t, &fake, "/api/v1/users/self").Header.Get("X-Rate-Limit-Remaining"))
	})
}

// Requirement: CV-BUCKET-PREJUDGED, CV-BUCKET-DISABLED
func TestApprovedBlockedAndDisabled(t *testing.T) {
	full := func(th canvastest.Throttle) (*canvastest.Server, reply) {
		fake := &canvastest.Server{Throttle: th}
		fake.Spend(adminBucket, 790)
		return fake, get(t, fake, "/api/v1/users/self")
	}
	_, r := full(canvastest.Throttle{Approved: []string{"ip:192.0.2.1"}})
	assert.Equal(t, http.StatusOK, r.StatusCode, "a match on any identifier")
	assert.Equal(t, "600.0", r.Header.Get("X-Rate-Limit-Remaining"), "its bucket is not looked at")

	fake := &canvastest.Server{Throttle: canvastest.Throttle{Blocked: []string{adminBucket}, Disabled: true}}
	r = get(t, fake, "/api/v1/users/self")
	assert.Equal(t, http.StatusTooManyRequests, r.StatusCode)
	assert.Equal(t, "0.0", r.Header.Get("X-Rate-Limit-Remaining"))
	assert.Zero(t, fake.Bucket(adminBucket))

	_, r = full(canvastest.Throttle{Disabled: true})
	assert.Equal(t, http.StatusOK, r.StatusCode)
	assert.Less(t, remaining(t, r), 0.0, "it counts all the same")
}

func TestSettingsOfAClientAndOfAPath(t *testing.T) {
	fake := &canvastest.Server{Throttle: canvastest.Throttle{
		Custom:        map[string]canvastest.Throttle{adminBucket: {HighWater: 1500, Maximum: 2000}},
		UpFrontByPath: []canvastest.UpFrontCost{{Path: regexp.MustCompile(`^/api/v1/courses`), Cost: 1600}},
	}}
	fake.Spend(adminBucket, 700)
	r := get(t, fake, "/api/v1/users/self")
	assert.Equal(t, http.StatusOK, r.StatusCode)
	assert.InDelta(t, 800, remaining(t, r), 1)
	assert.Equal(t, http.StatusTooManyRequests, get(t, fake, "/api/v1/courses").StatusCode)
}

// Requirement: CV-COST-TOKEN, CV-COST-INST-ACCESS, CV-COST-OTP, CV-COST-ERROR-REPORT, CV-COST-PAGE-VIEW-QUERY
func TestSomeOperationsCostMore(t *testing.T) {
	fake := &canvastest.Server{Throttle: canvastest.Throttle{Disabled: true}, Load: canvastest.Load{Cost: -1}}
	key := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, nil)
	secret, _ := fake.Get(canvastest.DeveloperKeys, key)["api_key"].(string)
	grant := url.Values{"grant_type": {"authorization_code"}, "client_id": {strconv.FormatInt(key, 10)}, "client_secret": {secret}, "code": {fake.Authorize(canvastest.Consent{Key: key})}}
	query := url.Values{"start_date": {time.Now().AddDate(0, -1, 1-time.Now().Day()).Format("2006-01") + "-01"}, "end_date": {time.Now().UTC().Format("2006-01") + "-01"}, "results_format": {"csv"}}
	for _, c := range []struct {
		name string
		r    reply
		cost string
	}{
		{"token", send(t, fake, "POST", "/login/oauth2/token", grant, "Authorization", ""), "200.0"},
		{"token, refused", send(t, fake, "POST", "/login/oauth2/token", grant, "Authorization", ""), "0.0"},
		{"inst access", send(t, fake, "POST", "/api/v1/inst_access_tokens", nil), "200.0"},
		{"otp", send(t, fake, "POST", "/login/otp", nil, "Authorization", ""), "150.0"},
		{"error report", send(t, fake, "POST", "/error_reports", url.Values{"error[subject]": {"help"}}), "200.0"},
		{"page view query", send(t, fake, "POST", "/api/v1/users/self/page_views/query", query), "150.0"},
		{"poll", get(t, fake, "/api/v1/users/self/page_views/query/550e8400-e29b-41d4-a716-446655440000"), "5.0"},
		{"results", get(t, fake, "/api/v1/users/self/page_views/query/550e8400-e29b-41d4-a716-446655440000/results"), "50.0"},
	} {
		assert.Equal(t, c.cost, c.r.Header.Get("X-Request-Cost"), "%s: %s %s", c.name, c.r.Status, c.r.body)
	}
}

// Requirement: CV-KEY-ORDER, CV-KEY-TOKEN, CV-KEY-SESSION
func TestTheBucketOfARequest(t *testing.T) {
	fake := &canvastest.Server{Cluster: "cluster9"}
	service := fake.AddToken(canvastest.Token{Text: "1~service", SiteAdmin: true})
	tool := fake.Add(canvastest.ExternalTools, canvastest.RootAccount, canvastest.Object{"domain": "tool.example.com", "version": "1.1"})
	user := fake.Add(canvastest.Users, canvastest.RootAccount, nil)
	session := fake.LogIn(user)
	silent := func(r reply) { assert.Empty(t, r.Header.Get("X-Rate-Limit-Remaining")) }
	last := func() string { all := fake.Requests(); return all[len(all)-1].Identifier }

	get(t, fake, "/api/v1/users/self")
	assert.Equal(t, adminBucket, last())
	get(t, fake, "/api/v1/users/self?access_token=1~x", "Authorization", "")
	assert.Equal(t, canvastest.TokenIdentifier("1~x"), last(), "an invalid token has a bucket too")
	send(t, fake, "PUT", "/api/v1/accounts/1", url.Values{"access_token": {canvastest.AdminToken}}, "Authorization", "")
	assert.Equal(t, "ip:192.0.2.1", last(), "a token in a body does not count")
	get(t, fake, "/api/v1/users/self", "Authorization", "Bearer "+service, "User-Agent", "inst-quizzes/1234")
	assert.Equal(t, "service_user_key:quizzes", last())
	get(t, fake, "/api/v1/users/self", "Authorization", "", "Cookie", "canvas_session="+session)
	assert.Equal(t, "user:"+strconv.FormatInt(user, 10), last())
	silent(get(t, fake, "/health_check", "Authorization", "", "Cookie", "canvas_session=anyone"))
	assert.Equal(t, "session:anyone", last())
	send(t, fake, "POST", fmt.Sprintf("/api/lti/v1/tools/%d/grade_passback", tool), nil, "Authorization", "")
	assert.Equal(t, "tool:tool.example.com", last())
	do(t, fake.ClientFrom("198.51.100.7"), request(t, "GET", "/health_check", nil, "Authorization", ""))
	assert.Equal(t, "ip:198.51.100.7", last())
	assert.Contains(t, get(t, fake, "/health_check", "Authorization", "").Header.Get("Set-Cookie"), "canvas_session=", "a cookie jar would keep it")
}

// Three grants in quick succession pass, the fourth has to wait.
//
// Requirement: CV-KEY-IP
func TestTokenGrantsShareTheBucketOfTheirAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{Load: canvastest.Load{Cost: -1}}
		key := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, nil)
		secret, _ := fake.Get(canvastest.DeveloperKeys, key)["api_key"].(string)
		grant := func() int {
			form := url.Values{"grant_type": {"authorization_code"}, "client_id": {strconv.FormatInt(key, 10)}, "client_secret": {secret}, "code": {fake.Authorize(canvastest.Consent{Key: key})}}
			return send(t, fake, "POST", "/login/oauth2/token", form, "Authorization", "").StatusCode
		}
		for range 3 {
			assert.Equal(t, http.StatusOK, grant())
		}
		assert.Equal(t, http.StatusTooManyRequests, grant())
		time.Sleep(4900 * time.Millisecond)
		assert.Equal(t, http.StatusTooManyRequests, grant(), "the count has to fall below 550")
		time.Sleep(200 * time.Millisecond)
		assert.Equal(t, http.StatusOK, grant())
	})
}

// Requirement: CV-KEY-LTI
func TestLTIServicesShareABucketAcrossSchools(t *testing.T) {
	shared := new(canvastest.Buckets)
	one := &canvastest.Server{Buckets: shared}
	two := &canvastest.Server{Buckets: shared}
	tool := newTool(t)
	for _, fake := range []*canvastest.Server{one, two} {
		tool.register(fake, 170000000000001)
		token := tool.token(t, fake, progressScope)
		get(t, fake, "/api/lti/courses/1/progress/1", bearer(token)...)
	}
	id := "lti_advantage:170000000000001-cluster1"
	requests := two.Requests()
	assert.Equal(t, id, requests[len(requests)-1].Identifier)
	one.Spend(id, 100)
	assert.InDelta(t, 100, two.Bucket(id), 1)
}
