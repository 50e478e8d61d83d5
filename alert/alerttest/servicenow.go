package alerttest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// ServiceNow is the Table API of ServiceNow for the table incident, as
// https://www.servicenow.com/docs/r/api-reference/rest-apis/c_TableAPI.html describes it.
// The zero value takes any credentials. It must not be copied after first use.
type ServiceNow struct {
	// Username and Password are those of basic authentication, Token is a bearer token. If
	// all are empty any credentials are taken.
	Username, Password, Token string
	// NoCorrelation means that the table has no field correlation_id: conditions on it are
	// ignored, as an instance does.
	NoCorrelation bool
	// Sticky means that a rule of the instance sets the state back when it is changed.
	Sticky bool
	// Version1 answers that nothing was found with 404, as version 1 of the API does.
	Version1 bool
	// PerHour is how many requests are taken in an hour. Zero means any number.
	PerHour int

	faults
	data     sync.Mutex
	records  []map[string]string
	notes    map[string][]string
	sent     []time.Time
	requests []string
}

// A ServiceNowIncident is an incident in [ServiceNow].
type ServiceNowIncident struct {
	// Fields are its fields by name.
	Fields map[string]string
	// Notes are its work notes, the oldest first.
	Notes []string
}

// incidentFields are those that may be written, with their lengths; 0 means that of a
// journal.
var incidentFields = map[string]int{
	"short_description": 160, "description": 4000, "correlation_id": 100, "correlation_display": 100, "impact": 40, "urgency": 40, "state": 40,
	"close_code": 40, "close_notes": 4000, "work_notes": 0, "comments": 0, "assignment_group": 32, "assigned_to": 32, "caller_id": 32, "category": 40,
	"subcategory": 40, "cmdb_ci": 32, "business_service": 32, "contact_type": 40, "company": 32, "location": 32, "severity": 40, "hold_reason": 40,
}

// Client returns a client that reaches it, whatever the address.
func (s *ServiceNow) Client() *http.Client { return s.client(s) }

// Incidents returns the incidents, in the order in which they were made.
func (s *ServiceNow) Incidents() []ServiceNowIncident {
	s.data.Lock()
	defer s.data.Unlock()
	var list []ServiceNowIncident
	for _, r := range s.records {
		fields := make(map[string]string, len(r))
		for name, v := range r {
			fields[name] = v
		}
		list = append(list, ServiceNowIncident{Fields: fields, Notes: slices.Clone(s.notes[r["sys_id"]])})
	}
	return list
}

// Set is somebody who changes a field of an incident by hand.
func (s *ServiceNow) Set(number, field, value string) {
	s.data.Lock()
	defer s.data.Unlock()
	for _, r := range s.records {
		if r["number"] == number {
			r[field] = value
		}
	}
}

// Requests returns the method and the path of each request that was looked at.
func (s *ServiceNow) Requests() []string {
	s.data.Lock()
	defer s.data.Unlock()
	return slices.Clone(s.requests)
}

// ServeHTTP implements [http.Handler].
func (s *ServiceNow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.serve(w, r, s.handle, func(w http.ResponseWriter, _ *http.Request) {
		s.fail(w, http.StatusForbidden, "Operation Failed", "ACL Exception Insert Failed due to security constraints")
	})
}

func (s *ServiceNow) fail(w http.ResponseWriter, status int, message, detail string) {
	respond(w, status, map[string]any{"error": map[string]string{"message": message, "detail": detail}, "status": "failure"})
}

var incidentPath = regexp.MustCompile(`^/api/now/(?:v[12]/)?table/incident(?:/([0-9a-f]{32}))?$`)

func (s *ServiceNow) handle(w http.ResponseWriter, r *http.Request) {
	s.data.Lock()
	defer s.data.Unlock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	if s.PerHour > 0 {
		if wait := tooMany(&s.sent, s.PerHour, time.Hour); wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(wait))
			s.fail(w, http.StatusTooManyRequests, "Rate limit exceeded", "REST API rate limit exceeded")
			return
		}
	}
	if !s.authorized(r) {
		s.fail(w, http.StatusUnauthorized, "User Not Authenticated", "Required to provide Auth information")
		return
	}
	at := incidentPath.FindStringSubmatch(r.URL.Path)
	if at == nil {
		s.fail(w, http.StatusBadRequest, "Invalid table", "")
		return
	}
	for name := range r.URL.Query() {
		if !slices.Contains([]string{"sysparm_query", "sysparm_fields", "sysparm_limit", "sysparm_no_count", "sysparm_display_value", "sysparm_exclude_reference_link", "sysparm_input_display_value"}, name) {
			s.fail(w, http.StatusBadRequest, "Unknown parameter", name)
			return
		}
	}
	switch {
	case at[1] == "" && r.Method == http.MethodGet:
		s.list(w, r)
	case at[1] == "" && r.Method == http.MethodPost:
		s.write(w, r, nil)
	case at[1] == "":
		s.fail(w, http.StatusMethodNotAllowed, "Method not supported", "")
	default:
		i := slices.IndexFunc(s.records, func(rec map[string]string) bool { return rec["sys_id"] == at[1] })
		switch {
		case i < 0:
			s.fail(w, http.StatusNotFound, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
		case r.Method == http.MethodGet:
			respond(w, http.StatusOK, map[string]any{"result": s.fields(r, s.records[i])})
		case r.Method == http.MethodPatch || r.Method == http.MethodPut:
			s.write(w, r, s.records[i])
		default:
			s.fail(w, http.StatusMethodNotAllowed, "Method not supported", "")
		}
	}
}

func (s *ServiceNow) authorized(r *http.Request) bool {
	got := r.Header.Get("Authorization")
	switch {
	case s.Token != "":
		return got == "Bearer "+s.Token
	case s.Username != "":
		return got == "Basic "+base64.StdEncoding.EncodeToString([]byte(s.Username+":"+s.Password))
	}
	return got != ""
}

// fields are those that are asked for; names that do not exist are ignored.
func (s *ServiceNow) fields(r *http.Request, rec map[string]string) map[string]string {
	names := r.URL.Query().Get("sysparm_fields")
	if names == "" {
		return rec
	}
	some := make(map[string]string)
	for name := range strings.SplitSeq(names, ",") {
		if v, ok := rec[name]; ok && !(s.NoCorrelation && name == "correlation_id") {
			some[name] = v
		}
	}
	return some
}

// list finds by an encoded query of equalities. A condition on a field that the table does
// not have is ignored.
func (s *ServiceNow) list(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(r.URL.Query().Get("sysparm_limit"))
	if err != nil {
		limit = 10_000
	}
	list := []any{}
	for _, rec := range s.records {
		matches := true
		for condition := range strings.SplitSeq(r.URL.Query().Get("sysparm_query"), "^") {
			name, value, ok := strings.Cut(condition, "=")
			if ok && !(s.NoCorrelation && name == "correlation_id") {
				matches = matches && rec[name] == value
			}
		}
		if matches && len(list) < limit {
			list = append(list, s.fields(r, rec))
		}
	}
	if len(list) == 0 && s.Version1 {
		s.fail(w, http.StatusNotFound, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
		return
	}
	respond(w, http.StatusOK, map[string]any{"result": list})
}

// write makes an incident, or changes one.
func (s *ServiceNow) write(w http.ResponseWriter, r *http.Request, rec map[string]string) {
	data, ok := body(r, 1<<20)
	var change map[string]string
	if err := json.Unmarshal(data, &change); err != nil || !ok {
		s.fail(w, http.StatusBadRequest, "Exception while reading request", "The payload is not valid JSON")
		return
	}
	for name, v := range change {
		// An instance ignores an unknown field, and cuts a text that is too long; here both
		// are mistakes.
		length, known := incidentFields[name]
		if !known || length > 0 && utf8.RuneCountInString(v) > length {
			s.fail(w, http.StatusBadRequest, "Invalid field", name)
			return
		}
	}
	resolving := (change["state"] == "6" || change["state"] == "7") && rec != nil
	if resolving && (change["close_code"] == "" || change["close_notes"] == "") {
		s.fail(w, http.StatusForbidden, "Operation Failed", "Data Policy Exception: The following fields are mandatory: Resolution code, Resolution notes")
		return
	}
	status := http.StatusOK
	if rec == nil {
		n := len(s.records) + 1
		rec = map[string]string{"sys_id": fmt.Sprintf("%032x", 0xc537bae64f41+n), "number": fmt.Sprintf("INC%07d", 10000+n), "state": "1", "active": "true"}
		s.records, status = append(s.records, rec), http.StatusCreated
		w.Header().Set("Location", "https://instance.service-now.com/api/now/table/incident/"+rec["sys_id"])
	}
	if s.notes == nil {
		s.notes = make(map[string][]string)
	}
	for name, v := range change {
		switch {
		case name == "work_notes" && v != "":
			s.notes[rec["sys_id"]] = append(s.notes[rec["sys_id"]], v)
		case name == "state" && s.Sticky:
		default:
			rec[name] = v
		}
	}
	if rec["state"] == "7" {
		rec["active"] = "false"
	}
	respond(w, status, map[string]any{"result": s.fields(r, rec)})
}
