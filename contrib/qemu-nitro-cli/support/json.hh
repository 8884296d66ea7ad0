/*
 * Reading untrusted JSON, and printing results
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
 * The JSON object in `text`, nested at most 64 levels deep, because printing
 * needs a stack frame for each level.  Otherwise throws an Error with `code`
 * and `advice`, whose text begins with `origin`.
 */
nlohmann::json parse_json(const Bytes &text, const std::string &origin,
                          Code code, const std::string &advice);

/* The same, for any kind of JSON */
nlohmann::json parse_any_json(const Bytes &text, const std::string &origin,
                              Code code, const std::string &advice);

/* JSON strings are UTF-8; other bytes have to be replaced. */
bool is_utf8(const std::string &text);

/* Write a result to stdout.  If this fails, throws an Error, which names the
 * file `written` that is complete before. */
void print_json(const nlohmann::ordered_json &json,
                const std::string &written = "");

#endif
