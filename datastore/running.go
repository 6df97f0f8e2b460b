package datastore

// Running returns the database of the config that runs, or nil if none of its
// handlers needs one. It is for what belongs to no config, such as the admin
// API; handlers have App.Database.
func Running() *DB { return running.latest() }
