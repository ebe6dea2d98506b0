# Every third-party package, in one place. All come from Debian 12 (cmake/install-dependencies).
#
# What find_package does not know is found through pkg-config. A package is linked by exactly one
# adapter, named behind each line.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

find_package(fmt REQUIRED)                         # base (formatting), everywhere
find_package(yaml-cpp REQUIRED)                    # adapters/yaml
find_package(RocksDB REQUIRED)                     # adapters/spool
find_package(spdlog REQUIRED)                      # adapters/log
find_package(prometheus-cpp REQUIRED)              # adapters/prometheus
find_package(Boost 1.74 REQUIRED COMPONENTS json)  # adapters/http (Beast), app layer (JSON reading)
find_package(OpenSSL 3.0 REQUIRED)                  # adapters/tls, adapters/crypto
find_package(ZLIB REQUIRED)                        # adapters/zlib
find_package(CURL 7.85 REQUIRED)                   # adapters/curl
find_package(Protobuf 3.21 REQUIRED)                 # wire, adapters/rpc
find_package(gRPC 1.51 CONFIG REQUIRED)             # adapters/rpc
find_package(CLI11 REQUIRED)                       # services/standalone
pkg_check_modules(ARGON2 REQUIRED IMPORTED_TARGET libargon2)    # adapters/password
pkg_check_modules(SQLITE3 REQUIRED IMPORTED_TARGET sqlite3)     # adapters/sqlite
pkg_check_modules(RABBITMQ REQUIRED IMPORTED_TARGET librabbitmq>=0.11)  # adapters/amqp
pkg_check_modules(RDKAFKA REQUIRED IMPORTED_TARGET rdkafka)     # adapters/kafka
pkg_check_modules(LIBPQ REQUIRED IMPORTED_TARGET libpq)         # adapters/postgres
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)    # base (Pattern)
pkg_check_modules(IDN2 REQUIRED IMPORTED_TARGET libidn2)        # mail (domain names)

pkg_check_modules(JEMALLOC REQUIRED IMPORTED_TARGET jemalloc)    # services/standalone (the executable)

if(POSTFLEET_TESTS)
    find_package(Catch2 2.13 REQUIRED)
    find_package(benchmark REQUIRED)               # tests/bench
    find_package(Python3 REQUIRED COMPONENTS Interpreter)  # rules of the tree, event schema (python3-jsonschema)
endif()

# Not through pkg-config: Debian's libunbound.pc names libevent, which its package does not bring.
find_path(UNBOUND_INCLUDE_DIR unbound.h REQUIRED)
find_library(UNBOUND_LIBRARY unbound REQUIRED)
add_library(Unbound::unbound UNKNOWN IMPORTED)     # adapters/dns
set_target_properties(Unbound::unbound PROPERTIES
    IMPORTED_LOCATION ${UNBOUND_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${UNBOUND_INCLUDE_DIR})
