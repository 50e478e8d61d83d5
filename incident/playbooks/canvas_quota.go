package playbooks

// quotaLeft is the share of the rate limit of Canvas that must be left.
const quotaLeft = 0.2
