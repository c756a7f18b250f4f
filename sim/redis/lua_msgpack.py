"""`cmsgpack`, which Redis gives to scripts and the simulated server's library does not: queues such as BullMQ's need it.

After Redis' own `lua_cmsgpack.c`: whole numbers are written as the shortest integers, others as a float if that is exact, a
table with the keys 1 to n as an array. Written in Lua, since values pass from script to script and never to Python.
"""

from __future__ import annotations

from typing import Final

SOURCE: Final = rb"""
do
    local byte, char, sub, floor = string.byte, string.char, string.sub, math.floor
    local frexp, ldexp, huge, concat = math.frexp, math.ldexp, math.huge, table.concat
    local type, pairs, error, unpack = type, pairs, error, unpack

    local function big(number, octets)
        local written = {}
        for place = octets, 1, -1 do
            written[place] = char(number % 256)
            number = floor(number / 256)
        end
        return concat(written)
    end

    local function small(text, from, octets)
        if #text < from + octets - 1 then error('Missing bytes in input.') end
        local number = 0
        for place = from, from + octets - 1 do number = number * 256 + byte(text, place) end
        return number, from + octets
    end

    -- A floating point number, by the bits of its exponent and of its fraction.
    local function written_float(number, exponent_bits, fraction_bits)
        local bias, sign = 2 ^ (exponent_bits - 1) - 1, 0
        local exponent, fraction
        if number < 0 or 1 / number == -huge then sign, number = 1, -number end
        if number ~= number then
            exponent, fraction = 2 * bias + 1, 2 ^ (fraction_bits - 1)
        elseif number == huge then
            exponent, fraction = 2 * bias + 1, 0
        elseif number == 0 then
            exponent, fraction = 0, 0
        else
            local mantissa, power = frexp(number)
            exponent = power - 1 + bias
            if exponent <= 0 then
                fraction, exponent = ldexp(mantissa, power + bias - 1 + fraction_bits), 0
            else
                fraction = ldexp(mantissa * 2 - 1, fraction_bits)
            end
        end
        local top = fraction_bits % 8
        local low = big(fraction % 2 ^ (fraction_bits - top), (fraction_bits - top) / 8)
        local high = (sign * 2 ^ exponent_bits + exponent) * 2 ^ top + floor(fraction / 2 ^ (fraction_bits - top))
        return big(high, (1 + exponent_bits + top) / 8) .. low
    end

    local function read_float(text, from, exponent_bits, fraction_bits)
        local top = fraction_bits % 8
        local high, low
        high, from = small(text, from, (1 + exponent_bits + top) / 8)
        low, from = small(text, from, (fraction_bits - top) / 8)
        local fraction = (high % 2 ^ top) * 2 ^ (fraction_bits - top) + low
        high = floor(high / 2 ^ top)
        local exponent, sign = high % 2 ^ exponent_bits, high >= 2 ^ exponent_bits and -1 or 1
        local bias = 2 ^ (exponent_bits - 1) - 1
        if exponent == 2 * bias + 1 then return fraction == 0 and sign * huge or 0 / 0, from end
        if exponent == 0 then return sign * ldexp(fraction, 1 - bias - fraction_bits), from end
        return sign * ldexp(1 + ldexp(fraction, -fraction_bits), exponent - bias), from
    end

    local function written_number(number)
        if number ~= floor(number) or number >= 2 ^ 64 or number < -2 ^ 63 or number ~= number then
            local short = written_float(number, 8, 23)
            local mantissa = frexp(number)
            local exact = number == number and (number == huge or number == -huge
                or (mantissa * 2 ^ 24 == floor(mantissa * 2 ^ 24) and number < 2 ^ 128 and number > -2 ^ 128
                    and read_float(short, 1, 8, 23) == number))
            if exact then return '\202' .. short end
            return '\203' .. written_float(number, 11, 52)
        end
        if number >= 0 then
            if number < 128 then return char(number) end
            if number < 256 then return '\204' .. char(number) end
            if number < 65536 then return '\205' .. big(number, 2) end
            if number < 2 ^ 32 then return '\206' .. big(number, 4) end
            return '\207' .. big(number, 8)
        end
        if number >= -32 then return char(256 + number) end
        if number >= -128 then return '\208' .. char(256 + number) end
        if number >= -32768 then return '\209' .. big(65536 + number, 2) end
        if number >= -2 ^ 31 then return '\210' .. big(2 ^ 32 + number, 4) end
        local high = floor(number / 2 ^ 32)
        return '\211' .. big(2 ^ 32 + high, 4) .. big(number - high * 2 ^ 32, 4)
    end

    local function written_length(length, fixed, fixed_max, marks)
        if length <= fixed_max then return char(fixed + length) end
        if marks[1] and length < 256 then return marks[1] .. char(length) end
        if length < 65536 then return marks[2] .. big(length, 2) end
        return marks[3] .. big(length, 4)
    end

    local function is_array(value)
        local count, highest = 0, 0
        for key in pairs(value) do
            if type(key) ~= 'number' or key <= 0 or key ~= floor(key) then return false end
            count = count + 1
            if key > highest then highest = key end
        end
        return count == highest, count
    end

    local write
    local function write_table(value, into, depth)
        local array, count = is_array(value)
        if array then
            into[#into + 1] = written_length(count, 144, 15, {nil, '\220', '\221'})
            for place = 1, count do write(value[place], into, depth) end
            return
        end
        count = 0
        for _ in pairs(value) do count = count + 1 end
        into[#into + 1] = written_length(count, 128, 15, {nil, '\222', '\223'})
        for key, each in pairs(value) do
            write(key, into, depth)
            write(each, into, depth)
        end
    end

    write = function(value, into, depth)
        local kind = type(value)
        if kind == 'string' then
            into[#into + 1] = written_length(#value, 160, 31, {'\217', '\218', '\219'})
            into[#into + 1] = value
        elseif kind == 'number' then
            into[#into + 1] = written_number(value)
        elseif kind == 'boolean' then
            into[#into + 1] = value and '\195' or '\194'
        elseif kind == 'table' and depth < 16 then
            write_table(value, into, depth + 1)
        else
            into[#into + 1] = '\192'
        end
    end

    local read
    local function read_text(text, from, length)
        if #text < from + length - 1 then error('Missing bytes in input.') end
        return sub(text, from, from + length - 1), from + length
    end
    local function read_array(text, from, count)
        local value = {}
        for place = 1, count do value[place], from = read(text, from) end
        return value, from
    end
    local function read_map(text, from, count)
        local value = {}
        for _ = 1, count do
            local key, each
            key, from = read(text, from)
            each, from = read(text, from)
            value[key] = each
        end
        return value, from
    end
    local function signed(text, from, octets)
        if octets == 8 then
            local high, low
            high, from = small(text, from, 4)
            low, from = small(text, from, 4)
            if high >= 2 ^ 31 then high = high - 2 ^ 32 end
            return high * 2 ^ 32 + low, from
        end
        local number
        number, from = small(text, from, octets)
        if number >= 2 ^ (8 * octets - 1) then number = number - 2 ^ (8 * octets) end
        return number, from
    end
    local lengths = {[196] = 1, [197] = 2, [198] = 4, [217] = 1, [218] = 2, [219] = 4}

    read = function(text, from)
        local mark = byte(text, from)
        if not mark then error('Missing bytes in input.') end
        from = from + 1
        if mark < 128 then return mark, from end
        if mark < 144 then return read_map(text, from, mark - 128) end
        if mark < 160 then return read_array(text, from, mark - 144) end
        if mark < 192 then return read_text(text, from, mark - 160) end
        if mark >= 224 then return mark - 256, from end
        if mark == 192 then return nil, from end
        if mark == 194 or mark == 195 then return mark == 195, from end
        if mark == 202 then return read_float(text, from, 8, 23) end
        if mark == 203 then return read_float(text, from, 11, 52) end
        if mark >= 204 and mark <= 207 then return small(text, from, 2 ^ (mark - 204)) end
        if mark >= 208 and mark <= 211 then return signed(text, from, 2 ^ (mark - 208)) end
        local length
        if lengths[mark] then
            length, from = small(text, from, lengths[mark])
            return read_text(text, from, length)
        end
        if mark == 220 or mark == 221 then
            length, from = small(text, from, mark == 220 and 2 or 4)
            return read_array(text, from, length)
        end
        if mark == 222 or mark == 223 then
            length, from = small(text, from, mark == 222 and 2 or 4)
            return read_map(text, from, length)
        end
        error('Bad data format in input.')
    end

    local function pack(...)
        local into = {}
        for place = 1, select('#', ...) do write((select(place, ...)), into, 0) end
        return concat(into)
    end
    local function unpack_all(text)
        local values, count, from = {}, 0, 1
        while from <= #text do
            count = count + 1
            values[count], from = read(text, from)
        end
        return unpack(values, 1, count)
    end
    cmsgpack = {pack = pack, unpack = unpack_all}
end
"""
