# Target helpers, and the layer check: an arrow that points the wrong way stops the configure step.
#
#   postfleet_library(NAME smtp LAYER domain SOURCES … [DEPENDS base mail] [THIRD_PARTY …]
#                     [PRIVATE_DEPENDS …] [SIBLINGS …])
#   postfleet_executable(NAME postfleet SOURCES … DEPENDS … [THIRD_PARTY …])
#   postfleet_test(NAME smtp_test SOURCES … DEPENDS … [LABELS unit] [TIMEOUT 120] [LAUNCHER program arguments …])
#   postfleet_fuzz(NAME address DEPENDS …)
#   postfleet_proto(NAME messages LAYER wire FILES control.proto …)
#   postfleet_proto(NAME services LAYER adapter GRPC FILES control.proto … DEPENDS messages)
#
# DEPENDS takes our own libraries by short name (smtp is the target postfleet_smtp, alias
# postfleet::smtp); THIRD_PARTY takes foreign targets. The layers are
# explained in docs/ARCHITECTURE.md.

# What each layer may name. "core" never sees wire or adapters; "app" sees everything.
set(POSTFLEET_LAYER_base "")
set(POSTFLEET_LAYER_mail "base")
set(POSTFLEET_LAYER_domain "base;mail")
set(POSTFLEET_LAYER_ports "base;mail")
set(POSTFLEET_LAYER_wire "base;mail")
set(POSTFLEET_LAYER_adapter "base;mail;ports;wire")
set(POSTFLEET_LAYER_core "base;mail;domain;ports")
set(POSTFLEET_LAYER_app "base;mail;domain;ports;wire;adapter;core;app")
set(POSTFLEET_LAYER_support "base;mail;domain;ports;wire;adapter;core;app;support")

# What `make build`, `make check` and the header check build; the functions below add to them.
add_custom_target(executables)
add_custom_target(unit_tests)
# Every public header must compile by itself: target all_verify_interface_header_sets.
set(CMAKE_VERIFY_INTERFACE_HEADER_SETS ${POSTFLEET_TESTS})

add_library(postfleet_options INTERFACE)
target_compile_options(postfleet_options INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
    -Wno-missing-field-initializers  # designated initialisers name what matters; g++ 12 warns about the rest
    -Wnon-virtual-dtor -Woverloaded-virtual
    $<$<BOOL:${POSTFLEET_WERROR}>:-Werror>)
if(POSTFLEET_SANITIZE)
    # What a sanitizer adds makes GCC see uninitialized values where there are none (GCC's manual, -fsanitize).
    target_compile_options(postfleet_options INTERFACE -fsanitize=${POSTFLEET_SANITIZE}
        -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g1 -Wno-maybe-uninitialized)
    target_link_options(postfleet_options INTERFACE -fsanitize=${POSTFLEET_SANITIZE})
    # Where every process of a test run, services too, puts what its sanitizer finds (CMakePresets.json).
    file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/reports)
    set(POSTFLEET_PATIENCE 5)
else()
    set(POSTFLEET_PATIENCE 1)
endif()

# Sets `variable` to the seconds that a test may take: under a sanitizer more than `seconds`.
function(postfleet_timeout variable seconds)
    math(EXPR result "${seconds} * ${POSTFLEET_PATIENCE}")
    set(${variable} ${result} PARENT_SCOPE)
endfunction()
if(POSTFLEET_FUZZ)
    target_compile_options(postfleet_options INTERFACE -fsanitize=fuzzer-no-link)  # coverage in the libraries
endif()
target_link_libraries(postfleet_options INTERFACE Threads::Threads)

# Line tables are enough for stack traces and profiles, and much faster to write than full debug info.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g")

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
    set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
        CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE_PROGRAM})
    set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
    set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
endif()

function(_postfleet_link target layer siblings visibility)
    foreach(dependency IN LISTS ARGN)
        if(NOT TARGET postfleet_${dependency})
            message(FATAL_ERROR "${target} names ${dependency}, which is not defined before it")
        endif()
        get_target_property(below postfleet_${dependency} POSTFLEET_LAYER)
        if(NOT below IN_LIST POSTFLEET_LAYER_${layer} AND NOT dependency IN_LIST siblings)
            message(FATAL_ERROR "layer check: ${target} (${layer}) must not use ${dependency} (${below}); "
                                "a ${layer} library may use: ${POSTFLEET_LAYER_${layer}}")
        endif()
        target_link_libraries(${target} ${visibility} postfleet_${dependency})
    endforeach()
endfunction()

function(postfleet_library)
    cmake_parse_arguments(LIB "" "NAME;LAYER" "SOURCES;DEPENDS;PRIVATE_DEPENDS;THIRD_PARTY;SIBLINGS" ${ARGN})
    set(target postfleet_${LIB_NAME})
    if(NOT DEFINED POSTFLEET_LAYER_${LIB_LAYER})
        message(FATAL_ERROR "${target}: unknown layer '${LIB_LAYER}'")
    endif()
    if(LIB_SOURCES)
        add_library(${target} STATIC ${LIB_SOURCES})
        set(visibility PUBLIC)
        target_link_libraries(${target} PRIVATE postfleet_options ${LIB_THIRD_PARTY})
    else()
        add_library(${target} INTERFACE)
        set(visibility INTERFACE)
        target_link_libraries(${target} INTERFACE ${LIB_THIRD_PARTY})
    endif()
    add_library(postfleet::${LIB_NAME} ALIAS ${target})
    set_target_properties(${target} PROPERTIES POSTFLEET_LAYER ${LIB_LAYER})
    # Public headers are the one thing that is globbed: a header that is not listed would escape its check.
    file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/include/*.hpp)
    target_sources(${target} ${visibility} FILE_SET HEADERS BASE_DIRS ${CMAKE_CURRENT_SOURCE_DIR}/include
        FILES ${headers})
    _postfleet_link(${target} ${LIB_LAYER} "${LIB_SIBLINGS}" ${visibility} ${LIB_DEPENDS})
    if(LIB_PRIVATE_DEPENDS)
        _postfleet_link(${target} ${LIB_LAYER} "${LIB_SIBLINGS}" PRIVATE ${LIB_PRIVATE_DEPENDS})
    endif()
endfunction()

function(postfleet_executable)
    cmake_parse_arguments(EXE "" "NAME" "SOURCES;DEPENDS;THIRD_PARTY" ${ARGN})
    add_executable(${EXE_NAME} ${EXE_SOURCES})
    target_link_libraries(${EXE_NAME} PRIVATE postfleet_options ${EXE_THIRD_PARTY})
    _postfleet_link(${EXE_NAME} app "" PRIVATE ${EXE_DEPENDS})
    add_dependencies(executables ${EXE_NAME})
endfunction()

function(postfleet_test)
    cmake_parse_arguments(TEST "" "NAME;TIMEOUT" "SOURCES;DEPENDS;THIRD_PARTY;LABELS;READS_TREE;LAUNCHER" ${ARGN})
    add_executable(${TEST_NAME} ${TEST_SOURCES})
    set_target_properties(${TEST_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    target_link_libraries(${TEST_NAME} PRIVATE postfleet_options Catch2::Catch2WithMain ${TEST_THIRD_PARTY})
    # Assertions cost the optimiser as much time as all the rest, for nothing: what is tested stays optimised.
    target_compile_options(${TEST_NAME} PRIVATE -O0)
    # Only for the sources that ask, because a path in the command keeps checkouts from sharing a compiler cache.
    set_source_files_properties(${TEST_READS_TREE} PROPERTIES
        COMPILE_DEFINITIONS POSTFLEET_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    _postfleet_link(${TEST_NAME} support "" PRIVATE ${TEST_DEPENDS})
    add_test(NAME ${TEST_NAME} COMMAND ${TEST_LAUNCHER} $<TARGET_FILE:${TEST_NAME}>)
    if(NOT TEST_TIMEOUT)
        set(TEST_TIMEOUT 120)
    endif()
    postfleet_timeout(TEST_TIMEOUT ${TEST_TIMEOUT})
    if(NOT TEST_LABELS)
        set(TEST_LABELS unit)
    endif()
    set_tests_properties(${TEST_NAME} PROPERTIES TIMEOUT ${TEST_TIMEOUT} LABELS "${TEST_LABELS}")
    if("unit" IN_LIST TEST_LABELS)
        add_dependencies(unit_tests ${TEST_NAME})
    endif()
    if("e2e" IN_LIST TEST_LABELS)
        # They measure rates and latencies of real processes; a neighbour on the same cores would disturb.
        set_tests_properties(${TEST_NAME} PROPERTIES RUN_SERIAL ON)
    endif()
endfunction()

# A fuzz entry point, `void fuzz_<name>(std::span<const std::byte>)` in tests/fuzz/<name>_fuzz.cpp. In the
# fuzz preset it becomes a libFuzzer program; everywhere else a test that replays tests/corpus/<name>/*.
function(postfleet_fuzz)
    cmake_parse_arguments(FUZZ "" "NAME" "DEPENDS;THIRD_PARTY" ${ARGN})
    set(target fuzz_${FUZZ_NAME})
    add_executable(${target} ${FUZZ_NAME}_fuzz.cpp ${CMAKE_SOURCE_DIR}/tests/fuzz/driver.cpp)
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
    target_link_libraries(${target} PRIVATE postfleet_options ${FUZZ_THIRD_PARTY})
    target_compile_definitions(${target} PRIVATE POSTFLEET_FUZZ_ENTRY=fuzz_${FUZZ_NAME})
    _postfleet_link(${target} support "" PRIVATE ${FUZZ_DEPENDS})
    if(POSTFLEET_FUZZ)
        target_compile_definitions(${target} PRIVATE POSTFLEET_LIBFUZZER)
        target_compile_options(${target} PRIVATE -fsanitize=fuzzer)
        target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    else()
        add_test(NAME ${target} COMMAND ${target} ${CMAKE_SOURCE_DIR}/tests/corpus/${FUZZ_NAME})
        postfleet_timeout(seconds 120)
        set_tests_properties(${target} PROPERTIES TIMEOUT ${seconds} LABELS unit)
        add_dependencies(unit_tests ${target})
    endif()
endfunction()

# Code that protoc makes of proto/postfleet/v1/<file>: a library of its own, without our warnings. With GRPC it is the
# stubs of the services, else the messages. Include it as "postfleet/v1/control.pb.h".
function(postfleet_proto)
    cmake_parse_arguments(PROTO "GRPC" "NAME;LAYER" "FILES;DEPENDS" ${ARGN})
    set(root ${CMAKE_SOURCE_DIR}/proto)
    set(made_in ${CMAKE_BINARY_DIR}/proto)
    file(MAKE_DIRECTORY ${made_in})
    set(sources)
    foreach(file IN LISTS PROTO_FILES)
        string(REGEX REPLACE "\\.proto$" "" stem ${file})
        if(PROTO_GRPC)
            set(made ${made_in}/postfleet/v1/${stem}.grpc.pb)
            set(how --plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin> --grpc_out=${made_in})
        else()
            set(made ${made_in}/postfleet/v1/${stem}.pb)
            set(how --cpp_out=${made_in})
        endif()
        # Every file may import the others of its folder.
        file(GLOB beside CONFIGURE_DEPENDS ${root}/postfleet/v1/*.proto)
        add_custom_command(OUTPUT ${made}.cc ${made}.h
            COMMAND protobuf::protoc ${how} -I ${root} ${root}/postfleet/v1/${file}
            DEPENDS ${beside} VERBATIM COMMENT "protoc ${file}")
        list(APPEND sources ${made}.cc)
    endforeach()
    set(target postfleet_${PROTO_NAME})
    add_library(${target} STATIC ${sources})
    add_library(postfleet::${PROTO_NAME} ALIAS ${target})
    set_target_properties(${target} PROPERTIES POSTFLEET_LAYER ${PROTO_LAYER})
    target_include_directories(${target} SYSTEM PUBLIC ${made_in})
    target_link_libraries(${target} PUBLIC protobuf::libprotobuf $<$<BOOL:${PROTO_GRPC}>:gRPC::grpc++>)
    if(POSTFLEET_SANITIZE)
        target_compile_options(${target} PRIVATE -fsanitize=${POSTFLEET_SANITIZE} -fno-omit-frame-pointer -O1 -g1)
    endif()
    if(POSTFLEET_FUZZ)
        target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
    endif()
    _postfleet_link(${target} ${PROTO_LAYER} "" PUBLIC ${PROTO_DEPENDS})
endfunction()
