/*
 * Reading untrusted JSON, and printing results
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/json.hh"

#include <algorithm>
#include <iostream>

using nlohmann::json;

namespace {

constexpr int max_depth = 64;

} // namespace

json parse_any_json(const Bytes &text, const std::string &origin, Code code,
                    const std::string &advice)
{
    auto zero = std::ranges::find(text, 0);
    json parsed;

    /* The parser would stop at a zero byte. */
    if (zero != text.end()) {
        throw Error(code, origin + ": not JSON, wrong at byte "
                    + std::to_string(zero - text.begin() + 1), advice);
    }
    try {
        parsed = json::parse(text.begin(), text.end(),
                             [&](int outer, json::parse_event_t event, json &) {
            using Event = json::parse_event_t;

            /* `outer` is the number of levels around this value. */
            if (outer >= max_depth && (event == Event::object_start ||
                                       event == Event::array_start)) {
                throw Error(code, origin + ": the JSON is nested deeper than "
                            + std::to_string(max_depth) + " levels", advice);
            }
            return true;
        });
    } catch (const json::parse_error &e) {
        throw Error(code, origin + ": not JSON, wrong at byte "
                    + std::to_string(e.byte), advice);
    } catch (const json::out_of_range &) {
        throw Error(code, origin + ": the JSON has a number that is too large",
                    advice);
    }
    return parsed;
}

json parse_json(const Bytes &text, const std::string &origin, Code code,
                const std::string &advice)
{
    json parsed = parse_any_json(text, origin, code, advice);

    if (!parsed.is_object()) {
        throw Error(code, origin + ": a JSON object is needed, not "
                    + parsed.type_name(), advice);
    }
    return parsed;
}

bool is_utf8(const std::string &text)
{
    try {
        json(text).dump();
        return true;
    } catch (const json::type_error &) {
        return false;
    }
}

void print_json(const nlohmann::ordered_json &json, const std::string &written)
{
    std::cout << json.dump(2) << "\n";
    try {
        check_output();
    } catch (const Error &e) {
        if (written.empty()) {
            throw;
        }
        throw Error(e.code, written + " is complete, but " + e.what(),
                    e.advice);
    }
}
