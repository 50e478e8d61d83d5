// Package nrps calls the Names and Role Provisioning Services 2.0 of a platform:
// who is in a course, and with which roles.
//
//	people, err := nrps.New(nrps.Config{Service: service, URL: launch.NRPS.URL})
//	if err != nil {
//		return err
//	}
//	for member, err := range people.Members(ctx, nil) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(member.UserID, member.Roles)
//	}
//
// [Client.List] gives the context too, and the address at which the platform
// will tell what changed since ([Listing.DifferencesURL]); store it, and read it
// with [Client.Differences] later. The hosts of all addresses are checked for each
// call, so that a token goes to the hosts of the registration only.
//
// It is up to the platform what it tells of a member besides id and roles. What it
// tells is personal data.
//
// All errors are [*lti.Error]. A Client is safe for concurrent use. Importing it
// compiles what package lti does.
package nrps
