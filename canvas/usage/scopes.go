package usage

// Scopes are those of the calls that it makes, as Canvas names them, for
// canvasprobe.ScopeNeed and for whoever sets up a developer key. All of them read.
func (l *AuditLog) Scopes() []string {
	return []string{
		"url:GET|/api/v1/audit/authentication/accounts/:account_id",
		"url:GET|/api/v1/audit/authentication/users/:user_id", // of a query that names an Actor
		"url:GET|/api/v1/audit/course/accounts/:account_id",
		"url:GET|/api/v1/users/:user_id/page_views", // of a query that wants the requests of an Actor
	}
}
