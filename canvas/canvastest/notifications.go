package canvastest

import (
	"slices"
	"time"
)

const notificationFields = "subject:s message:s start_at:t end_at:t icon:s"

// notificationRoutes: documentation, page "Account Notifications"; and
// account_notifications_controller.rb. The list is not paged.
func notificationRoutes() []*route {
	const notices = "/api/v1/accounts/:account_id/account_notifications"
	write := params("account_notification", notificationFields) + "account_notification_roles[] account_notification[send_message] account_notification[domain_specific] " +
		"account_notification[required_account_service] account_notification[months_in_display_cycle]"
	return []*route{
		on("GET "+notices, asUser, listNotifications, "include_past include_all show_is_closed"),
		on("POST "+notices, asAdmin, createNotification, write),
		on("GET "+notices+"/:id", asUser, getNotification, ""),
		on("PUT "+notices+"/:id", asAdmin, putNotification, write),
		on("DELETE "+notices+"/:id", asUser, closeNotification, "remove"),
	}
}

func (c *call) notificationView(r *row, author bool) Object {
	if author {
		return plain(r)
	}
	return plain(r, "author")
}

// shown says that a notification is shown to the caller now, or with past, that
// it was.
func (c *call) shown(r *row, past bool) bool {
	closed, _ := r.hidden["closed"].([]int64)
	start, _ := time.Parse(time.RFC3339, r.text("start_at"))
	end, _ := time.Parse(time.RFC3339, r.text("end_at"))
	if past {
		return !c.now.Before(start)
	}
	return !c.now.Before(start) && c.now.Before(end) && !slices.Contains(closed, c.who.user)
}

// listNotifications shows those of the root account to everyone, whatever
// account is in the path; include_all shows an administrator all of an account.
func listNotifications(c *call) answer {
	account := c.account()
	if account == nil {
		return notFound()
	}
	all := c.flag("include_all")
	if all && !c.admin() {
		return c.unauthorized()
	}
	from := RootAccount
	if all {
		from = account.id
	}
	list := []Object{}
	for _, r := range c.s.world.in(AccountNotifications, from) {
		if !all && !c.shown(r, c.flag("include_past")) {
			continue
		}
		o := c.notificationView(r, all)
		if c.flag("show_is_closed") {
			closed, _ := r.hidden["closed"].([]int64)
			o["closed"] = slices.Contains(closed, c.who.user)
		}
		list = append(list, o)
	}
	return ok(list)
}

func (c *call) notification() (r *row, bad answer, ok bool) {
	account := c.account()
	r = c.s.world.row(AccountNotifications, atoi(c.path["id"]))
	if account == nil || r == nil || r.parent != account.id {
		return nil, notFound(), false
	}
	return r, answer{}, true
}

// getNotification refuses one that the caller does not see now.
func getNotification(c *call) answer {
	r, bad, good := c.notification()
	if !good {
		return bad
	}
	if !c.shown(r, false) {
		return c.unauthorized()
	}
	return ok(c.notificationView(r, false))
}

func createNotification(c *call) answer {
	account := c.account()
	if account == nil {
		return notFound()
	}
	for _, name := range []string{"subject", "message", "start_at", "end_at"} {
		if c.param("account_notification["+name+"]") == "" {
			return invalid(name, "blank", "can't be blank")
		}
	}
	author := c.s.world.row(Users, c.who.user)
	r := c.s.add(AccountNotifications, account.id, Object{"author": Object{"id": author.id, "name": author.obj["name"]}})
	if bad, good := c.changeNotification(r); !good {
		r.deleted = true
		return bad
	}
	return ok(c.notificationView(r, false))
}

func (c *call) changeNotification(r *row) (bad answer, ok bool) {
	changed := Object{}
	if wrong := c.change(changed, "account_notification", notificationFields); wrong != "" {
		return invalid(wrong, "invalid", "is invalid"), false
	}
	if icon, given := changed["icon"]; given && !slices.Contains([]string{"warning", "information", "question", "error", "calendar"}, textOf(icon)) {
		return invalid("icon", "inclusion", "is not included in the list"), false
	}
	for name, v := range changed {
		r.obj[name] = v
	}
	if r.text("end_at") <= r.text("start_at") {
		return invalid("end_at", "Must be after start_at", "Must be after start_at"), false
	}
	// An update without roles takes all roles away: it is shown to everyone then.
	r.obj["roles"] = append([]string{}, c.params["account_notification_roles[]"]...)
	return answer{}, true
}

func putNotification(c *call) answer {
	r, bad, good := c.notification()
	if !good {
		return bad
	}
	before := plain(r)
	if bad, good := c.changeNotification(r); !good {
		r.obj = before
		return bad
	}
	return ok(c.notificationView(r, false))
}

// closeNotification hides it from the caller; remove deletes it for everyone.
func closeNotification(c *call) answer {
	r, bad, good := c.notification()
	if !good {
		return bad
	}
	if c.flag("remove") {
		if !c.admin() {
			return c.unauthorized()
		}
		r.deleted = true
		return ok(c.notificationView(r, false))
	}
	closed, _ := r.hidden["closed"].([]int64)
	r.hidden["closed"] = append(slices.Clone(closed), c.who.user)
	return ok(c.notificationView(r, false))
}
