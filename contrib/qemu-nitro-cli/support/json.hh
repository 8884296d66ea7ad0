/*
 * JSON: reading what somebody else wrote, printing results
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_JSON_HH
#define QEMU_NITRO_CLI_SUPPORT_JSON_HH

#include <nlohmann/json.hpp>
#include <string>

#include "support/bytes.hh"
#include "support/errors.hh"

/*
 * The JSON object in `text`, at most 64 levels deep: to print it takes a
 * stack frame for each.  Throws an Error with `code` and `advice`, which
 * begins with `origin`, if there is none.
 */
nlohmann::json parse_json(const Bytes &text, const std::string &origin,
                          Code code, const std::string &advice);

/* The same, for any kind of JSON */
nlohmann::json parse_any_json(const Bytes &text, const std::string &origin,
                              Code code, const std::string &advice);

/* JSON's texts are UTF-8; others cannot be told as they are. */
bool is_utf8(const std::string &text);

/* Write a result to stdout; throws if that does not take it. */
void print_json(const nlohmann::ordered_json &json);

#endif
