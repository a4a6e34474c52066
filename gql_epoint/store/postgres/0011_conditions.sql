-- A unit of work that took something for granted is refused as a lost race if it was not so.
CREATE FUNCTION must_hold(condition boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF condition IS NOT TRUE THEN
    RAISE EXCEPTION 'something is not as this unit of work took it to be' USING ERRCODE = 'serialization_failure';
  END IF;
END $$;
