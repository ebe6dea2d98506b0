// The keys of limits at the door, and of who may say when its mail is sent, for the sections of listeners, users and
// tenants.
#pragma once

#include "schema.hpp"

namespace postfleet::config {

// The section with the keys of its limits behind its own.
Section with_listener_limits(Section section);
Section with_tenant_limits(Section section);
Section with_user_limits(Section section);

}  // namespace postfleet::config
